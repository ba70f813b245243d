import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeHealth } from '../../src/app/node-health.ts';
import type { Logger } from '../../src/ops/logger.ts';

const REFUSED = 'connect ECONNREFUSED 127.0.0.1:6379';

function fixture() {
  const said: string[] = [];
  const say: Logger['info'] = ({ event, reason }) =>
    said.push(reason === undefined ? event : `${event} ${reason}`);
  let own: string | undefined;
  const health = new NodeHealth({ debug: say, info: say, warn: say, error: say, fatal: say }, () => own);
  return {
    said,
    health,
    workers: (redis: string | undefined) => {
      own = redis;
      for (let i = 1; i <= 32; i++) health.hear(`gateway ${i}`, { redis, failing: [] });
    },
  };
}

test('a Redis that is lost is said once for all workers, with the reason, and so is that it is back', () => {
  const { said, health, workers } = fixture();
  for (const redis of [undefined, REFUSED, REFUSED, REFUSED, 'something else', undefined, undefined]) {
    workers(redis);
    health.look();
  }
  assert.deepEqual(said.splice(0), [`redis_lost ${REFUSED}`, 'redis_back']);
  for (const redis of [REFUSED, REFUSED, undefined]) {
    workers(redis);
    health.look();
  }
  assert.deepEqual(
    said,
    [`redis_lost ${REFUSED}`, 'redis_back'],
    'whatever was said to be lost is said to be back',
  );
});

test('a connection that comes back at once is not told of', () => {
  const { said, health, workers } = fixture();
  for (const redis of [undefined, 'the connection is lost', undefined]) {
    workers(redis);
    health.look();
  }
  assert.deepEqual(said, []);
});

test('G10: a store whose writer can not commit is not ready, with or without gateways of its own', () => {
  const { health } = fixture();
  health.hear('writer', { redis: undefined, commitTrouble: 'the disk is full' });
  health.hear('reader', { redis: undefined });
  assert.deepEqual(health.failing, ["its writer can't commit: the disk is full"]);
  health.hear('writer', { redis: undefined, commitTrouble: undefined });
  assert.deepEqual(health.failing, []);
});

test('what fails is told in words: Redis, and gateways that are not ready; a worker that has ended does not count', () => {
  const { health } = fixture();
  health.hear('writer', { redis: undefined });
  health.hear('gateway 1', { redis: undefined, failing: [] });
  assert.deepEqual([health.failing, health.readyGateways], [[], 1]);
  health.hear('gateway 2', { redis: REFUSED, failing: ['no beat for 4 s', 'no reader has answered yet'] });
  assert.deepEqual(health.failing, [
    `Redis fails: ${REFUSED}`,
    '1 of 2 gateways not ready: no beat for 4 s; no reader has answered yet',
  ]);
  assert.equal(health.readyGateways, 1);
  health.gone('gateway 2');
  assert.deepEqual(health.failing, []);
});

test('G10: a Redis that refuses the node alone, and none of its workers, is said to fail, too', () => {
  const { said, health, workers } = fixture();
  workers(REFUSED);
  for (let i = 1; i <= 32; i++) health.gone(`gateway ${i}`);
  assert.deepEqual(health.failing, [`Redis fails: ${REFUSED}`]);
  for (let i = 0; i < 2; i++) health.look();
  assert.deepEqual(said, [`redis_lost ${REFUSED}`]);
});
