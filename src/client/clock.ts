/** Time, as a port: tests move it by hand. */
export type Clock = {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls `run` once after `ms` milliseconds. @returns the function that cancels it */
  after(ms: number, run: () => void): () => void;
};

/** `setTimeout` does not wait for longer times: it runs at once. */
const LONGEST_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, Math.min(ms, LONGEST_MS));
    return () => clearTimeout(timer);
  },
};

/** Times that are made to ascend run this far ahead of the clock at most, in milliseconds. */
const AHEAD_MS = 5_000;

/** Milliseconds since `then`. If the clock was set back in between, nobody knows how many, and it counts as long ago. */
export function elapsedMs(clock: Clock, then: number): number {
  const ms = clock.now() - then;
  return ms < -AHEAD_MS ? Number.POSITIVE_INFINITY : Math.max(0, ms);
}
