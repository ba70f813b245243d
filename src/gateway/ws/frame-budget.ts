import { LIMITS } from '../../contract/limits.ts';

/** Frames over the budget before the socket is closed. The count starts anew once the budget has room for as many. */
const FORGIVEN = 100;

/**
 * A socket's budget of frames: a token bucket. Hand-made, since it is used for every frame: a library's limiter costs a promise
 * and a timer each.
 */
export class FrameBudget {
  #left: number = LIMITS.framesBurst;
  #at: number;
  #over = 0;

  constructor(now: number) {
    this.#at = now;
  }

  /**
   * @param bytes of the frame
   * @returns 'ok', 'over' (refuse the frame), 'over-unread' (refuse it without parsing, which would cost as much as the frame is
   *   refused for), or 'exhausted' (close the socket)
   */
  spend(now: number, bytes: number): 'ok' | 'over' | 'over-unread' | 'exhausted' {
    const cost = Math.max(1, Math.ceil(bytes / LIMITS.bytesPerCount));
    this.#left = Math.min(
      LIMITS.framesBurst,
      this.#left + ((now - this.#at) * LIMITS.framesPerSecond) / 1000,
    );
    this.#at = now;
    if (this.#left >= cost) {
      if (this.#left >= FORGIVEN) this.#over = 0;
      this.#left -= cost;
      return 'ok';
    }
    if (++this.#over > FORGIVEN) return 'exhausted';
    return cost === 1 ? 'over' : 'over-unread';
  }
}
