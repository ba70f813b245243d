import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Redis } from 'ioredis';
import {
  ATTEMPT_LIMITS,
  type Attempt,
  type AttemptCounter,
  MemoryAttempts,
} from '../../src/auth/attempts.ts';
import { RedisAttempts } from '../../src/auth/redis-attempts.ts';
import { systemClock } from '../../src/base/clock.ts';
import { startRedis } from '../support/redis.ts';

const server = await startRedis({ after });
const redis = new Redis(server.url);
after(() => redis.disconnect());
await redis.ping();

const { attempts, withinMs } = ATTEMPT_LIMITS.userAndAddress;
const memory = new MemoryAttempts(systemClock);

/** What every counter promises (src/auth/attempts.ts). */
const COUNTERS: readonly [name: string, counter: AttemptCounter][] = [
  ['memory', { count: async (attempt) => memory.count(attempt) }],
  ['Redis', new RedisAttempts(redis, 'parley:0:')],
];
for (const [name, counter] of COUNTERS) {
  const count = (what: Attempt['do'], key: string): Promise<number> =>
    counter.count({ do: what, limit: 'userAndAddress', key });
  const taken = async (key: string): Promise<number> => {
    for (let i = 0; ; i++) if ((await count('take', key)) > 0) return i;
  };

  test(`A6 ${name}: attempts at once are counted up to the limit; refused ones are told how long to wait`, async () => {
    const waits = await Promise.all(Array.from({ length: 40 }, () => count('take', 'one')));
    assert.equal(waits.filter((ms) => ms === 0).length, attempts);
    assert.ok(waits.every((ms) => ms === 0 || (ms > withinMs - 60_000 && ms <= withinMs)));
    assert.equal(await taken('two'), attempts, 'another key is counted apart');
    assert.equal(await counter.count({ do: 'take', limit: 'address', key: 'one' }), 0);
  });

  test(`A6 ${name}: what is given back may be tried again, and refused ones have not counted`, async () => {
    await taken('three');
    await taken('three');
    await count('give-back', 'three');
    await count('give-back', 'three');
    assert.equal(await taken('three'), 2);
    await count('forget', 'three');
    assert.equal(await taken('three'), attempts);
    for (let i = 0; i < 20; i++) await count('give-back', 'three');
    assert.equal(await taken('three'), attempts, 'never more than were taken');
  });
}

test('G6 Redis: refused attempts and those given back leave no key; each key ends by itself', async () => {
  await redis.flushall();
  const counter = new RedisAttempts(redis, 'parley:0:');
  for (let i = 0; i < 20; i++) await counter.count({ do: 'take', limit: 'userAndAddress', key: 'kept' });
  await counter.count({ do: 'take', limit: 'address', key: 'given back' });
  await counter.count({ do: 'give-back', limit: 'address', key: 'given back' });
  await counter.count({ do: 'give-back', limit: 'address', key: 'never there' });
  assert.deepEqual(await redis.keys('*'), ['parley:0:limit:userAndAddress:kept']);
  assert.ok((await redis.pttl('parley:0:limit:userAndAddress:kept')) > 0);
});

test('A6 Redis: while it is away nobody waits for it', async () => {
  const away = new Redis({ lazyConnect: true });
  await assert.rejects(
    new RedisAttempts(away, '').count({ do: 'take', limit: 'address', key: 'key' }),
    /Redis is away/,
  );
});
