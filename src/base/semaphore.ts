/** Lets a bounded number of tasks run at once. The others wait, first come, first served. */
export class Semaphore {
  readonly #atOnce: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** Number of tasks that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Whether no task runs or waits. */
  get idle(): boolean {
    return this.#running === 0;
  }

  /** Whether one more task would wait. */
  get full(): boolean {
    return this.#running >= this.#atOnce;
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    const release = await this.acquire();
    try {
      return await task();
    } finally {
      release();
    }
  }

  /** Resolves when a place is free. The caller holds it until it calls the returned function, once. */
  async acquire(): Promise<() => void> {
    if (this.full) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    return () => {
      // The place passes to the next in line, or becomes free.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    };
  }
}
