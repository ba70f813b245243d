import type { Clock } from '../../src/base/clock.ts';

/** A clock that stands until it is moved. */
export class ManualClock implements Clock {
  #now: number;
  #set = 0;
  #next = 0;
  readonly #timers = new Map<number, { at: number; run: () => void }>();

  constructor(now = Date.UTC(2026, 0, 31)) {
    this.#now = now;
  }

  now(): number {
    return this.#now + this.#set;
  }

  steady(): number {
    return this.#now;
  }

  /** Somebody sets the clock: what has to do with lengths of time should not notice. */
  step(ms: number): void {
    this.#set += ms;
  }

  after(ms: number, run: () => void): () => void {
    const id = this.#next++;
    this.#timers.set(id, { at: this.#now + ms, run });
    return () => this.#timers.delete(id);
  }

  /** Runs what falls due on the way, in order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (due === undefined) break;
      const [id, { at, run }] = due;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, at);
      run();
    }
    this.#now = end;
  }

  /** The process stands still: what fell due meanwhile runs afterwards, late. */
  sleep(ms: number): void {
    this.#now += ms;
    this.advance(0);
  }

  get timers(): number {
    return this.#timers.size;
  }
}
