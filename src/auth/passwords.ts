import { hash, verify } from '@node-rs/argon2';
import { Semaphore } from '../base/semaphore.ts';
import { ParleyError } from '../contract/errors.ts';

/** The library's code for argon2id (its own constant is a const enum, which type stripping can't read). */
const ARGON2ID = 2;

/** OWASP's minimum for argon2id: 19 MiB, 2 passes, 1 lane; about 20 ms. */
const OPTIONS = { algorithm: ARGON2ID, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

/** Hashes a password; the answer is a PHC string with its salt and parameters. */
export const hashPassword = (password: string): Promise<string> => hash(password, OPTIONS);

/**
 * Password work for a gateway: a bounded number at once and waiting, so that a flood of logins can't starve the sockets
 * that share the process.
 */
export class Passwords {
  readonly #turns: Semaphore;
  readonly #waitingMax: number;
  /** What a login for an unknown user is compared with, so that it takes as long as for a known one. */
  readonly #decoy: Promise<string>;

  constructor(options: { atOnce?: number; waitingMax?: number } = {}) {
    this.#turns = new Semaphore(options.atOnce ?? 2);
    this.#waitingMax = options.waitingMax ?? 200;
    this.#decoy = hashPassword('decoy');
  }

  /** @throws ParleyError overloaded */
  hash(password: string): Promise<string> {
    return this.#limited(() => hashPassword(password));
  }

  /**
   * Whether the password is the one that was hashed. `passwordHash` is undefined for a user who does not exist, and
   * empty for one who can't log in; both take as long as a wrong password.
   * @throws ParleyError overloaded
   */
  async matches(password: string, passwordHash: string | undefined): Promise<boolean> {
    const against = passwordHash || (await this.#decoy);
    const equal = await this.#limited(() => verify(against, password));
    return equal && against === passwordHash;
  }

  async #limited<T>(work: () => Promise<T>): Promise<T> {
    if (this.#turns.waiting >= this.#waitingMax) {
      throw new ParleyError('overloaded', 'Too many logins at once: try again shortly.', 1);
    }
    return this.#turns.run(work);
  }
}
