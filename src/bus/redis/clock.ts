import type { RedisClient } from './connection.ts';

/** An answer that was longer under way says too little, in milliseconds. */
const TRUSTED_MS = 500;
/** Looked at again after this, in milliseconds, since it may have been set; and at once by a new connection, perhaps to another Redis. */
const LOOK_EVERY_MS = 60_000;
/** Where a deadline makes one doubt what is known, it is looked at again at most this often, in milliseconds. */
const DOUBT_EVERY_MS = 1_000;

/**
 * Redis's clock, which is one for all machines, whatever their own say; right to half a second.
 */
export class RedisClock {
  readonly #redis: RedisClient;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** From the steady clock of this process to Redis's. */
  #offset: number | undefined;

  constructor(redis: RedisClient) {
    this.#redis = redis;
    redis.on('ready', () => void this.look());
  }

  /** Unix milliseconds; undefined as long as Redis has not told. */
  now(): number | undefined {
    const steady = performance.now();
    if (steady - this.#lookedAt >= LOOK_EVERY_MS) void this.look();
    return this.#offset === undefined ? undefined : steady + this.#offset;
  }

  /**
   * Looks again, unless it has just been done: the clock may have been set, or this machine been asleep, which its steady clock does
   * not count. Never rejects.
   */
  async doubt(): Promise<void> {
    if (this.#redis.status === 'ready' && performance.now() - this.#lookedAt >= DOUBT_EVERY_MS)
      await this.look();
  }

  /** Never rejects: what is known already will do. */
  async look(): Promise<void> {
    const asked = performance.now();
    this.#lookedAt = asked;
    try {
      const [seconds, microseconds] = await this.#redis.time();
      const answered = performance.now();
      if (answered - asked <= TRUSTED_MS)
        this.#offset = Number(seconds) * 1_000 + Number(microseconds) / 1_000 - answered;
    } catch {}
  }
}
