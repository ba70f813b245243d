import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { after, test } from 'node:test';
import { Redis } from 'ioredis';
import { LEASE_MS, RedisLeaser } from '../../src/bus/redis-lease.ts';
import { FileLeaser } from '../../src/db/file-lock.ts';
import { startRedis } from '../support/redis.ts';
import { temporaryFolder, waitFor } from '../support/server.ts';
import { identity, kindOf, leaserSuite } from './leaser-suite.ts';

const folder = temporaryFolder({ after });
let files = 0;

leaserSuite('file', async () => {
  const file = `${folder}/${++files}.db`;
  return { leaser: () => new FileLeaser(file) };
});

test('file: a holder that was killed holds no more', async () => {
  const file = `${folder}/killed.db`;
  const module = path.join(import.meta.dirname, '../../src/db/file-lock.ts');
  const script = `const { FileLeaser } = await import(${JSON.stringify(module)});
    const leaser = new FileLeaser(${JSON.stringify(file)});
    console.log((await leaser.acquire()).kind); setInterval(() => leaser.renew(), 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  after(() => child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  await waitFor(
    () => said.includes('held'),
    10_000,
    () => said,
  );
  const leaser = new FileLeaser(file);
  assert.equal(await kindOf(leaser.acquire()), 'taken');
  child.kill('SIGKILL');
  await waitFor(
    async () => (await leaser.acquire()).kind === 'held',
    3_000,
    () => 'never held',
  );
  await leaser.release();
});

const server = await startRedis({ after });
const clients: Redis[] = [];
after(() => {
  for (const client of clients) client.disconnect();
});

async function redisBench(): Promise<{ redis: Redis; leaser(holder: string): RedisLeaser }> {
  const redis = new Redis(server.url);
  clients.push(redis);
  await redis.flushall();
  return {
    redis,
    leaser: (holder) => {
      const client = new Redis(server.url);
      clients.push(client);
      return new RedisLeaser(client, 'test:', holder);
    },
  };
}

leaserSuite('Redis', redisBench);

test('Redis: a holder that renews no more is replaced, and told so when it comes back', async () => {
  const { redis, leaser } = await redisBench();
  const [one, two] = [leaser('one'), leaser('two')];
  await one.acquire(identity());
  const left = await redis.pttl('{test:writer}');
  assert.ok(left > 0 && left <= LEASE_MS, `${left}`);
  await redis.del('{test:writer}'); // As if its time were over.
  assert.equal(await kindOf(two.acquire(identity())), 'held');
  assert.equal(await kindOf(one.renew(identity())), 'taken');
});

test('Redis: the next writer of the same node need not wait for the lease to end', async () => {
  const { leaser } = await redisBench();
  assert.equal(await kindOf(leaser('node 1').acquire(identity())), 'held');
  assert.equal(await kindOf(leaser('node 1').acquire(identity())), 'held');
});

for (const [what, other] of [
  ['with another database', identity({ databaseId: 'other', generation: 99 })],
  ['without a database', undefined],
] as const) {
  test(`G7: a store ${what} is refused, while the lease is taken and when it is free, and after a FLUSHALL too`, async () => {
    const { redis, leaser } = await redisBench();
    const [one, two] = [leaser('one'), leaser('two')];
    await one.acquire(identity());
    await one.renew(identity({ generation: 5 }));
    const answer = await two.acquire(other);
    assert.equal(answer.kind, 'refused');
    assert.ok(answer.kind === 'refused' && answer.reason.length > 10);
    await one.release();
    assert.equal(await kindOf(two.acquire(other)), 'refused');
    await redis.flushall();
    assert.equal(await kindOf(two.acquire(other)), 'refused', 'once refused, refused until restart');
  });
}

test('G7: an older copy of the database is refused, after a FLUSHALL too, until it has caught up', async () => {
  const { redis, leaser } = await redisBench();
  const [one, two] = [leaser('one'), leaser('two')];
  await one.acquire(identity());
  await one.renew(identity({ generation: 5 }));
  await one.release();
  assert.equal(await kindOf(two.acquire(identity({ generation: 4 }))), 'refused');
  await redis.flushall();
  assert.equal(await kindOf(two.acquire(identity({ generation: 4 }))), 'refused');
  assert.equal(await kindOf(two.acquire(identity({ generation: 5 }))), 'held');
});

test('G4, G7: a restored database (another epoch, an older generation) may write, and is remembered', async () => {
  const { leaser } = await redisBench();
  const [one, two] = [leaser('one'), leaser('two')];
  await one.acquire(identity());
  await one.renew(identity({ generation: 50 }));
  await one.release();
  const restored = identity({ epoch: 'f', generation: 3 });
  assert.equal(await kindOf(two.acquire(restored)), 'held');
  assert.equal(await kindOf(two.renew(restored)), 'held');
});

test('G7: after a FLUSHALL the leader goes on, and the cluster knows its database again', async () => {
  const { redis, leaser } = await redisBench();
  const [one, two] = [leaser('one'), leaser('two')];
  await one.acquire(identity());
  await one.renew(identity({ generation: 5 }));
  await redis.flushall();
  assert.equal(await kindOf(one.renew(identity({ generation: 5 }))), 'held');
  assert.equal(await kindOf(two.acquire(identity({ databaseId: 'other' }))), 'refused');
});
