import { createHash } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { ParleyError } from '../contract/errors.ts';

/** Failed logins per user and address, failed logins per address, and registrations per address; `duration` in seconds. */
const LIMITS = {
  userAndAddress: { points: 10, duration: 300 },
  address: { points: 100, duration: 300 },
  register: { points: 100, duration: 60 },
} as const;

type Limiter = RateLimiterMemory | RateLimiterRedis;

/** Throttles logins and registrations (rule A6). With Redis the counts are the cluster's, otherwise each worker's own. */
export class LoginLimits {
  readonly #limiters: Record<keyof typeof LIMITS, Limiter> | undefined;

  /** `undefined` options: no limits. */
  constructor(options: { redis?: Redis | Cluster; keyPrefix?: string } | undefined) {
    if (options === undefined) return;
    const make = (name: keyof typeof LIMITS): Limiter => {
      const memory = new RateLimiterMemory({ ...LIMITS[name], keyPrefix: name });
      if (options.redis === undefined) return memory;
      return new RateLimiterRedis({
        ...LIMITS[name],
        storeClient: options.redis,
        keyPrefix: `${options.keyPrefix ?? ''}limit:${name}`,
        rejectIfRedisNotReady: true,
        // Without Redis each worker still counts for itself.
        insuranceLimiter: memory,
      });
    };
    this.#limiters = {
      userAndAddress: make('userAndAddress'),
      address: make('address'),
      register: make('register'),
    };
  }

  /**
   * Counts an attempt as failed before it is known: attempts at the same time can't slip past the limit.
   * @throws ParleyError rate_limited
   */
  async login(user: string, address: string): Promise<void> {
    if (this.#limiters === undefined) return;
    await consume(this.#limiters.userAndAddress, keyOf(user, address));
    await consume(this.#limiters.address, keyOf(address));
  }

  /** Takes back what `login` counted: the attempt was a good one. */
  async loginSucceeded(user: string, address: string): Promise<void> {
    if (this.#limiters === undefined) return;
    await this.#limiters.userAndAddress.delete(keyOf(user, address));
    await this.#limiters.address.reward(keyOf(address), 1);
  }

  /** @throws ParleyError rate_limited */
  async register(address: string): Promise<void> {
    if (this.#limiters !== undefined) await consume(this.#limiters.register, keyOf(address));
  }
}

/** Keys are digests: user ids and addresses don't end up in Redis. */
const keyOf = (...parts: string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 22);

async function consume(limiter: Limiter, key: string): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (error) {
    if (!(error instanceof RateLimiterRes)) throw error;
    throw new ParleyError('rate_limited', undefined, Math.ceil(error.msBeforeNext / 1000));
  }
}
