import { after } from 'node:test';

export type Cleanups = { after(task: () => void | Promise<void>): void };

/** Tasks for the end of a suite, the last one first. To be called in the body of `describe`. */
export function suiteCleanups(): Cleanups {
  const tasks: (() => void | Promise<void>)[] = [];
  after(async () => {
    for (const task of tasks.reverse()) await task();
  });
  return { after: (task) => void tasks.push(task) };
}
