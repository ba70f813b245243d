import type { ServerResponse } from 'node:http';
import { Semaphore } from '../base/semaphore.ts';
import { ParleyError } from '../contract/errors.ts';
import { LIMITS } from '../contract/limits.ts';

/**
 * Limits each user's concurrent reads of the store (rule L10): requests, and pages of catch-up. A user has a few at once, and the
 * others wait, so that readers have time for everybody else. A turn lasts until the store has answered, even if the client has
 * left: leaving must not allow more concurrent reads than waiting does.
 */
export class Turns {
  readonly #byUser = new Map<string, Semaphore>();

  /** Number of users with a turn. */
  get users(): number {
    return this.#byUser.size;
  }

  /** Reads when it is the user's turn. @throws ParleyError rate_limited */
  async read<T>(user: string, work: () => Promise<T>): Promise<T> {
    const done = await this.#take(user);
    try {
      return await work();
    } finally {
      done();
    }
  }

  /**
   * Makes a request's answer when it is the user's turn. The turn lasts until the answer or the client has left, which bounds the
   * answers made for clients that don't take them.
   * @throws ParleyError rate_limited; unavailable, which nobody hears, if the client has already left
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

  /** @returns a function that ends the turn */
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
