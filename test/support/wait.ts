import { setTimeout as sleep } from 'node:timers/promises';

/** Asks until it is so, for `boundMs` at most. @returns whether it was */
export async function until(
  done: () => boolean | Promise<boolean>,
  boundMs: number,
  everyMs = 50,
): Promise<boolean> {
  const end = performance.now() + boundMs;
  while (!(await done())) {
    if (performance.now() > end) return false;
    await sleep(everyMs);
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
