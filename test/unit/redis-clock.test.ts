import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { RedisClock } from '../../src/bus/redis/clock.ts';
import type { RedisClient } from '../../src/bus/redis/connection.ts';
import { settle } from '../support/scripted-bus.ts';

test('the clock of a Redis that has taken over counts at once, not only when it is looked at again: who asks and who serves must agree', async () => {
  let seconds = 1_000_000;
  const redis = Object.assign(new EventEmitter(), { time: async () => [`${seconds}`, '500000'] });
  const clock = new RedisClock(redis as unknown as RedisClient);
  const reads = (): number => Math.floor((clock.now() ?? 0) / 1_000);
  await clock.look();
  assert.equal(reads(), 1_000_000);
  seconds += 3_600;
  assert.equal(reads(), 1_000_000);
  redis.emit('ready');
  await settle(1);
  assert.equal(reads(), 1_003_600);
});
