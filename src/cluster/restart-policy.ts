/** A worker that worked this long was well: its end says nothing about the next one, in milliseconds. */
const HEALTHY_AFTER_MS = 5_000;
const FIRST_DELAY_MS = 100;
const DELAY_MAX_MS = 5_000;
/** Short lives in a row that make a crash loop. */
const LOOP_AFTER = 5;

export type Restart = { readonly delayMs: number; readonly looping: boolean };

/** When to start a worker again that has ended. Pure. */
export class RestartPolicy {
  #shortLives = 0;

  /** @param upMs how long the worker had been ready; 0 if it never was */
  ended(upMs: number): Restart {
    if (upMs >= HEALTHY_AFTER_MS) this.#shortLives = 0;
    else this.#shortLives++;
    // One end, or a healthy worker's, costs no time at all: most ends are accidents.
    const delayMs =
      this.#shortLives <= 1 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (this.#shortLives - 2), DELAY_MAX_MS);
    return { delayMs, looping: this.#shortLives >= LOOP_AFTER };
  }
}
