import { after, afterEach } from 'node:test';

type Task = () => void | Promise<void>;

export type Cleanups = {
  /** At the end of the suite, or of the test. */
  after(task: Task): void;
  /** After each test in it. */
  afterEach(task: Task): void;
};

/** Tasks for the end of a suite, the last one first, and of each of its tests. To be called in the body of `describe`. */
export function suiteCleanups(): Cleanups {
  const tasks: Task[] = [];
  const testTasks: Task[] = [];
  after(async () => {
    for (const task of tasks.reverse()) await task();
  });
  afterEach(async () => {
    for (const task of testTasks) await task();
  });
  return { after: (task) => void tasks.push(task), afterEach: (task) => void testTasks.push(task) };
}
