import { LIMITS } from '../contract/limits.ts';
import { type Clock, elapsedMs } from './clock.ts';
import type { SendRequest } from './wire.ts';

/**
 * Somewhat less than a socket may send, for there are signals, too. Of the burst, the greatest number of unanswered sends is
 * left out: so many may be held up on their way, and arrive with those that follow.
 */
const PER_SECOND = LIMITS.framesPerSecond * 0.9;
const BURST = (LIMITS.framesBurst - LIMITS.unansweredPerSocket) * 0.9;

const encoder = new TextEncoder();

/** As what the server counts a frame. */
export const countOf = (frame: SendRequest): number =>
  Math.ceil(encoder.encode(JSON.stringify(frame)).length / LIMITS.bytesPerCount);

/** Keeps the sends on one socket below the rate at which they would be refused, and stored in another order. */
export class Pace {
  readonly #clock: Clock;
  #left: number = BURST;
  #at = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A new socket begins anew. */
  reset(): void {
    this.#left = BURST;
  }

  /** @returns milliseconds until a frame that counts so much may be sent */
  wait(count: number): number {
    const earned = (elapsedMs(this.#clock, this.#at) * PER_SECOND) / 1_000;
    this.#left = Math.min(BURST, this.#left + earned);
    this.#at = this.#clock.now();
    return Math.ceil((Math.max(0, count - this.#left) * 1_000) / PER_SECOND);
  }

  spend(count: number): void {
    this.#left -= count;
  }
}
