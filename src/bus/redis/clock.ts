import type { RedisClient } from './connection.ts';

/** An answer that took longer than this is too imprecise, in milliseconds. */
const TRUSTED_MS = 500;
/**
 * How often Redis's time is read again, in milliseconds, since somebody may set it. A new connection, perhaps to another Redis,
 * reads it at once.
 */
const LOOK_EVERY_MS = 60_000;
/** The minimum time between readings when a deadline casts doubt on the known time, in milliseconds. */
const DOUBT_EVERY_MS = 1_000;

/** Redis's clock, accurate to half a second. All machines share it, whatever their own clocks say. */
export class RedisClock {
  readonly #redis: RedisClient;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** Add it to this process's steady clock to get Redis's time. */
  #offset: number | undefined;

  constructor(redis: RedisClient) {
    this.#redis = redis;
    redis.on('ready', () => void this.look());
  }

  /** Unix milliseconds; undefined until Redis has answered. */
  now(): number | undefined {
    const steady = performance.now();
    if (steady - this.#lookedAt >= LOOK_EVERY_MS) void this.look();
    return this.#offset === undefined ? undefined : steady + this.#offset;
  }

  /**
   * Reads the time again, unless that was just done. It may have been set, or this machine may have slept, which its steady clock
   * does not count. Never rejects.
   */
  async doubt(): Promise<void> {
    if (this.#redis.status === 'ready' && performance.now() - this.#lookedAt >= DOUBT_EVERY_MS)
      await this.look();
  }

  /** Reads the time. Never rejects: on failure, the known time stays. */
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
