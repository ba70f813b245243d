import type { ServerResponse } from 'node:http';
import { Semaphore } from '../../base/semaphore.ts';
import { ParleyError } from '../../contract/errors.ts';
import { LIMITS } from '../../contract/limits.ts';

/**
 * Turns of the requests that read the store (rule L10). One user has a few at once, and the others wait: whatever somebody
 * asks for, readers have time for the rest, and what is made for those who don't take it is bounded.
 */
export class Turns {
  readonly #byUser = new Map<string, Semaphore>();

  /**
   * Resolves when it is the request's turn, which lasts until its answer has left, or its client.
   * @throws ParleyError rate_limited
   */
  async take(user: string, response: ServerResponse): Promise<void> {
    const turns = this.#byUser.get(user) ?? new Semaphore(LIMITS.answersAtOnce);
    if (turns.waiting >= LIMITS.requestsWaiting)
      throw new ParleyError('rate_limited', 'Too many requests of this user are being answered.', 1);
    this.#byUser.set(user, turns);
    const release = await turns.acquire();
    const done = (): void => {
      release();
      if (turns.idle) this.#byUser.delete(user);
    };
    if (response.closed) done();
    else response.once('close', done);
  }
}
