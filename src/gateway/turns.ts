import type { ServerResponse } from 'node:http';
import { Semaphore } from '../base/semaphore.ts';
import { ParleyError } from '../contract/errors.ts';
import { LIMITS } from '../contract/limits.ts';

/**
 * Turns of what reads the store for a user (rule L10): requests, and pages of catch-up. One user has a few at once, and the
 * others wait: whatever somebody asks for, readers have time for the rest. A turn lasts until the store has answered, whether
 * the client is still there or not: who goes away has no more read at once than who waits.
 */
export class Turns {
  readonly #byUser = new Map<string, Semaphore>();

  /** How many users have a turn. */
  get users(): number {
    return this.#byUser.size;
  }

  /** Reads in the user's turn. @throws ParleyError rate_limited */
  async read<T>(user: string, work: () => Promise<T>): Promise<T> {
    const done = await this.#take(user);
    try {
      return await work();
    } finally {
      done();
    }
  }

  /**
   * Does what a request asks for in its user's turn, which goes on until the answer has left, or the client has: what is made for
   * those who don't take it is bounded.
   * @throws ParleyError rate_limited; unavailable, which nobody hears, if the client has left before
   */
  async answer<T>(user: string, response: ServerResponse, work: () => Promise<T>): Promise<T> {
    const done = await this.#take(user);
    try {
      if (response.closed) throw new ParleyError('unavailable');
      return await work();
    } finally {
      if (response.closed) done();
      else response.once('close', done);
    }
  }

  /** @returns what ends the turn */
  async #take(user: string): Promise<() => void> {
    const turns = this.#byUser.get(user) ?? new Semaphore(LIMITS.answersAtOnce);
    if (turns.waiting >= LIMITS.requestsWaiting)
      throw new ParleyError('rate_limited', 'Too many requests of this user are being answered.', 1);
    this.#byUser.set(user, turns);
    const release = await turns.acquire();
    return () => {
      release();
      if (turns.idle) this.#byUser.delete(user);
    };
  }
}
