import type { Cluster, Redis } from 'ioredis';
import { ATTEMPT_LIMITS, type Attempt, type AttemptCounter } from './attempts.ts';

/* KEYS: the count. ARGV: 'take' | 'give-back' | 'forget', the limit, its window in ms. Returns the ms to wait. */
const SCRIPT = `
local counted = tonumber(redis.call('GET', KEYS[1]) or '0')
if ARGV[1] == 'take' then
  if counted >= tonumber(ARGV[2]) then return math.max(redis.call('PTTL', KEYS[1]), 1) end
  if redis.call('INCR', KEYS[1]) == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
elseif ARGV[1] == 'give-back' and counted > 1 then
  redis.call('DECR', KEYS[1])
else
  redis.call('DEL', KEYS[1])
end
return 0
`;

type AttemptCommand = { parleyAttempt(...args: (string | number)[]): Promise<number> };

/** Counts in Redis, for the whole cluster. A refused attempt creates no key, and one that was given back leaves none. */
export class RedisAttempts implements AttemptCounter {
  readonly #redis: (Redis | Cluster) & AttemptCommand;
  readonly #prefix: string;

  constructor(redis: Redis | Cluster, prefix: string) {
    redis.defineCommand('parleyAttempt', { numberOfKeys: 1, lua: SCRIPT });
    this.#redis = redis as (Redis | Cluster) & AttemptCommand;
    this.#prefix = prefix;
  }

  async count({ do: what, limit, key }: Attempt): Promise<number> {
    // Without this check, the command would be queued until the connection is back.
    if (this.#redis.status !== 'ready') throw new Error('Redis is away');
    const { attempts, withinMs } = ATTEMPT_LIMITS[limit];
    return this.#redis.parleyAttempt(`${this.#prefix}limit:${limit}:${key}`, what, attempts, withinMs);
  }
}
