/** A worker that worked this long was healthy: its end says nothing about the next one, in milliseconds. */
const HEALTHY_AFTER_MS = 5_000;
const FIRST_DELAY_MS = 100;
const DELAY_MAX_MS = 5_000;
/** This many short lives in a row are a crash loop. */
const LOOP_AFTER = 5;

export type Restart = { readonly delayMs: number; readonly looping: boolean };

/** Decides when to restart a worker that has ended. Pure. */
export class RestartPolicy {
  #shortLives = 0;

  /** @param upMs how long the worker had been at its work, or had stood by; 0 if it never was */
  ended(upMs: number): Restart {
    if (upMs >= HEALTHY_AFTER_MS) this.#shortLives = 0;
    else this.#shortLives++;
    // A single end, or that of a healthy worker, causes no delay: most ends are accidents.
    const delayMs =
      this.#shortLives <= 1 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (this.#shortLives - 2), DELAY_MAX_MS);
    return { delayMs, looping: this.#shortLives >= LOOP_AFTER };
  }
}
