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
   * Does the work when it is the request's turn, which lasts until it is done and its answer, or its client, has left: who goes
   * away has no more done at once than who waits.
   * @throws ParleyError rate_limited; unavailable, which nobody hears, if the client has left before its turn
   */
  async run<T>(user: string, response: ServerResponse, work: () => Promise<T>): Promise<T> {
    const turns = this.#byUser.get(user) ?? new Semaphore(LIMITS.answersAtOnce);
    if (turns.waiting >= LIMITS.requestsWaiting)
      throw new ParleyError('rate_limited', 'Too many requests of this user are being answered.', 1);
    this.#byUser.set(user, turns);
    const release = await turns.acquire();
    const done = (): void => {
      release();
      if (turns.idle) this.#byUser.delete(user);
    };
    try {
      if (response.closed) throw new ParleyError('unavailable');
      return await work();
    } finally {
      if (response.closed) done();
      else response.once('close', done);
    }
  }
}
