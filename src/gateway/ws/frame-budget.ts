import { LIMITS } from '../../contract/limits.ts';

/** A frame counts as one for each of so many bytes, since reading one costs in proportion: some 0.1 ms of CPU at worst. */
export const BYTES_PER_COUNT = 4096;
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

  /**
   * @param bytes of the frame
   * @returns 'ok', 'over' (refuse the frame), 'over-unread' (and don't even read it: that would cost as much as what it is
   * refused for), or 'exhausted' (close the socket)
   */
  spend(now: number, bytes: number): 'ok' | 'over' | 'over-unread' | 'exhausted' {
    const cost = Math.max(1, Math.ceil(bytes / BYTES_PER_COUNT));
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
