/** Time as the pure parts see it; tests give one they can turn by hand. */
export interface Clock {
  /** Milliseconds since the Unix epoch, as the machine believes: it may be set back, or forward, at any moment. */
  now(): number;
  /** Milliseconds since some moment of the past. Nobody can set it: for how long something takes, or is silent. */
  steady(): number;
  /** Runs `task` once after `ms`. The returned function cancels it. Never keeps the process alive. */
  after(ms: number, task: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  steady: () => performance.now(),
  after(ms, task) {
    const timer = setTimeout(task, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms`, early when `signal` aborts. Keeps the process alive while it waits. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal?.aborted) return Promise.resolve();
  const timer = setTimeout(done, ms);
  signal?.addEventListener('abort', done, { once: true });
  function done(): void {
    clearTimeout(timer);
    signal?.removeEventListener('abort', done);
    resolve();
  }
  return promise;
}
