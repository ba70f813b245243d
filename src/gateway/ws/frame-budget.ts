import { LIMITS } from '../../contract/limits.ts';

/** Frames over the budget before the socket is closed. All is forgiven once there is room for as many again. */
const FORGIVEN = 100;

/**
 * Frames one socket may send: a token bucket. Our own, since it is asked for every frame: a library's limiter costs
 * a promise and a timer each.
 */
export class FrameBudget {
  #left: number = LIMITS.framesBurst;
  #at: number;
  #over = 0;

  constructor(now: number) {
    this.#at = now;
  }

  /** @returns 'ok', 'over' (refuse the frame), or 'exhausted' (close the socket) */
  spend(now: number): 'ok' | 'over' | 'exhausted' {
    this.#left = Math.min(
      LIMITS.framesBurst,
      this.#left + ((now - this.#at) * LIMITS.framesPerSecond) / 1000,
    );
    this.#at = now;
    if (this.#left >= 1) {
      if (this.#left >= FORGIVEN) this.#over = 0;
      this.#left--;
      return 'ok';
    }
    return ++this.#over > FORGIVEN ? 'exhausted' : 'over';
  }
}
