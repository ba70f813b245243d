import { setTimeout as sleep } from 'node:timers/promises';

/** A round counts for no more of a bound, in milliseconds: what had no processor for seconds is asked again. */
const ROUND_MAX_MS = 1_000;

/** Asks until it is so, for `boundMs` at most. @returns whether it was */
export async function until(
  done: () => boolean | Promise<boolean>,
  boundMs: number,
  everyMs = 50,
): Promise<boolean> {
  let left = boundMs;
  for (let from = performance.now(); !(await done()); ) {
    if (left < 0) return false;
    await sleep(everyMs);
    const now = performance.now();
    left -= Math.min(now - from, ROUND_MAX_MS);
    from = now;
  }
  return true;
}

/** Asks until it is so; fails with what `message` says. */
export async function waitFor(
  condition: () => boolean | Promise<boolean>,
  boundMs: number,
  message: () => string,
): Promise<void> {
  if (!(await until(condition, boundMs, 20))) throw new Error(message());
}
