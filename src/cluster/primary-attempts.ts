import type { Attempt, AttemptCounter } from '../auth/attempts.ts';

/** Limit on counts that the primary has not answered. */
const ASKED_MAX = 1_000;

/** Has a worker's attempts counted by its primary, for the whole node. */
export class PrimaryAttempts implements AttemptCounter {
  readonly #send: (ref: number, attempt: Attempt) => void;
  readonly #asked = new Map<number, (waitMs: number) => void>();
  #lastRef = 0;

  /** @param send asks the primary. Pass its answer to `answered`. */
  constructor(send: (ref: number, attempt: Attempt) => void) {
    this.#send = send;
  }

  async count(attempt: Attempt): Promise<number> {
    if (this.#asked.size >= ASKED_MAX) throw new Error('the primary does not answer');
    const ref = ++this.#lastRef;
    return new Promise((resolve) => {
      this.#asked.set(ref, resolve);
      this.#send(ref, attempt);
    });
  }

  answered(ref: number, waitMs: number): void {
    this.#asked.get(ref)?.(waitMs);
    this.#asked.delete(ref);
  }
}
