/** Time for the pure parts. Tests use one that they advance by hand. */
export interface Clock {
  /** Milliseconds since the Unix epoch, by the machine's clock. It may jump in either direction at any moment. */
  now(): number;
  /** Monotonic milliseconds since some moment in the past. For durations and timeouts. */
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
