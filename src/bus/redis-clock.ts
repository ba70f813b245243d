import type { RedisClient } from './redis-connection.ts';

/** Looked at again after this, in milliseconds: another Redis may have taken over, or its clock may have been set. */
const LOOK_EVERY_MS = 60_000;

/**
 * Redis's clock, which is one for all machines, whatever their own say. Late by what its answer took on the way.
 */
export class RedisClock {
  readonly #redis: RedisClient;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** From the steady clock of this process to Redis's. */
  #offset: number | undefined;

  constructor(redis: RedisClient) {
    this.#redis = redis;
  }

  /** Unix milliseconds; undefined as long as Redis has not told. */
  now(): number | undefined {
    const steady = performance.now();
    if (steady - this.#lookedAt >= LOOK_EVERY_MS) void this.look();
    return this.#offset === undefined ? undefined : steady + this.#offset;
  }

  /** Never rejects: what is known already will do. */
  async look(): Promise<void> {
    this.#lookedAt = performance.now();
    try {
      const [seconds, microseconds] = await this.#redis.time();
      this.#offset = Number(seconds) * 1_000 + Number(microseconds) / 1_000 - performance.now();
    } catch {}
  }
}
