import { createHash } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { ParleyError } from '../contract/errors.ts';
import { type Attempt, type AttemptCounter, MemoryAttempts } from './attempts.ts';
import { networkOf } from './network-of.ts';

type Place = Omit<Attempt, 'do'>;

/** A counter that does not answer within this time is skipped, in milliseconds. */
const ANSWER_MS = 1_000;

/** Throttles logins and registrations (rule A6). */
export class LoginLimits {
  readonly #clock: Clock;
  readonly #shared: readonly AttemptCounter[];
  /** Undefined: no limits. */
  readonly #own: MemoryAttempts | undefined;

  /**
   * @param shared counters that other processes use too. The first one that answers counts; if none does, this process counts for
   *   itself. Undefined: no limits.
   */
  constructor(shared: readonly AttemptCounter[] | undefined, clock: Clock) {
    this.#clock = clock;
    this.#shared = shared ?? [];
    this.#own = shared && new MemoryAttempts(clock);
  }

  /**
   * Checks a user's password within the limits. The attempt is counted as failed before its result is known, so that concurrent
   * attempts can't slip past the limit. It is taken back if the password is right, or if `check` rejects.
   * @param check resolves with undefined if the password is wrong
   * @throws ParleyError rate_limited, and whatever `check` rejects with
   */
  attempt<T>(user: string, address: string, check: () => Promise<T | undefined>): Promise<T | undefined> {
    const network = networkOf(address);
    // The address comes first: a refused client that makes up user names costs one count, and not a key for each name.
    return this.#counted({ limit: 'address', key: keyOf(network) }, 'give-back', () =>
      this.#counted({ limit: 'userAndAddress', key: keyOf(network, user) }, 'forget', check),
    );
  }

  /** @throws ParleyError rate_limited */
  register(address: string): Promise<void> {
    return this.#take({ limit: 'register', key: keyOf(networkOf(address)) });
  }

  async #counted<T>(
    place: Place,
    whenGood: 'give-back' | 'forget',
    work: () => Promise<T | undefined>,
  ): Promise<T | undefined> {
    await this.#take(place);
    let result: T | undefined;
    try {
      result = await work();
    } catch (error) {
      await this.#count({ do: 'give-back', ...place });
      throw error;
    }
    if (result !== undefined) await this.#count({ do: whenGood, ...place });
    return result;
  }

  async #take(place: Place): Promise<void> {
    const waitMs = await this.#count({ do: 'take', ...place });
    if (waitMs > 0) throw new ParleyError('rate_limited', undefined, Math.ceil(waitMs / 1000));
  }

  async #count(attempt: Attempt): Promise<number> {
    if (this.#own === undefined) return 0;
    for (const counter of this.#shared) {
      const waitMs = await this.#ask(counter, attempt);
      if (waitMs !== undefined) return waitMs;
    }
    return this.#own.count(attempt);
  }

  /** Undefined if the counter fails or takes too long. */
  #ask(counter: AttemptCounter, attempt: Attempt): Promise<number | undefined> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(ANSWER_MS, () => resolve(undefined));
      counter
        .count(attempt)
        .then(resolve, () => resolve(undefined))
        .finally(cancel);
    });
  }
}

/** Keys are digests, so that Redis holds no user ids or addresses, and all keys in memory have the same length. */
const keyOf = (...parts: string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 22);
