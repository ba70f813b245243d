import { hash, verify } from '@node-rs/argon2';
import { Semaphore } from '../base/semaphore.ts';
import { ParleyError } from '../contract/errors.ts';
import { networkOf } from './network-of.ts';

/** The library's code for argon2id. Its own constant is a const enum, which type stripping can't read. */
const ARGON2ID = 2;

/** OWASP's minimum for argon2id: 19 MiB, 2 passes, 1 lane; about 20 ms. */
const OPTIONS = { algorithm: ARGON2ID, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

/** Hashes a password. The result is a PHC string, with salt and parameters. */
export const hashPassword = (password: string): Promise<string> => hash(password, OPTIONS);

/** The share of the queue that one address may take, so that no address fills it alone. */
const ADDRESS_SHARE = 0.1;

/**
 * Password hashing in a gateway. Concurrency and queue are bounded, so that a flood of logins can't starve the sockets of the
 * same process.
 */
export class Passwords {
  readonly #turns: Semaphore;
  readonly #waitingMax: number;
  readonly #shareMax: number;
  /** Passwords being hashed or waiting, by the network they came from. */
  readonly #shares = new Map<string, number>();
  /** Compared with in a login for an unknown user, so that it takes as long as one for a known user. */
  readonly #decoy: Promise<string>;

  constructor(options: { atOnce?: number; waitingMax?: number } = {}) {
    this.#turns = new Semaphore(options.atOnce ?? 2);
    this.#waitingMax = options.waitingMax ?? 200;
    this.#shareMax = Math.max(1, Math.floor(this.#waitingMax * ADDRESS_SHARE));
    this.#decoy = hashPassword('decoy');
  }

  /**
   * @param address charged for its share of the queue; undefined: nobody is
   * @throws ParleyError overloaded
   */
  hash(password: string, address?: string): Promise<string> {
    return this.#limited(address, () => hashPassword(password));
  }

  /**
   * Whether this is the password that was hashed. `passwordHash` is undefined for a user who does not exist, empty for one who
   * can't log in, and no hash if another program has written it to the file; all take as long as a wrong password.
   * @param address charged for its share of the queue; undefined: nobody is
   * @throws ParleyError overloaded
   */
  async matches(password: string, passwordHash: string | undefined, address?: string): Promise<boolean> {
    const against = passwordHash || (await this.#decoy);
    const equal = await this.#limited(address, () => this.#verify(against, password));
    return equal && against === passwordHash;
  }

  async #verify(against: string, password: string): Promise<boolean> {
    try {
      return await verify(against, password);
    } catch {
      // It is no hash, which is found out at once.
      await verify(await this.#decoy, password);
      return false;
    }
  }

  async #limited<T>(address: string | undefined, work: () => Promise<T>): Promise<T> {
    const network = address === undefined ? undefined : networkOf(address);
    const share = (network !== undefined && this.#shares.get(network)) || 0;
    if (this.#turns.waiting >= this.#waitingMax || share >= this.#shareMax) {
      throw new ParleyError('overloaded', 'Too many logins at once: try again shortly.', 1);
    }
    if (network === undefined) return this.#turns.run(work);
    this.#shares.set(network, share + 1);
    try {
      return await this.#turns.run(work);
    } finally {
      const left = (this.#shares.get(network) as number) - 1;
      if (left === 0) this.#shares.delete(network);
      else this.#shares.set(network, left);
    }
  }
}
