import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RedisBus } from '../../src/bus/redis-bus.ts';
import { startRedis } from '../support/redis.ts';
import { waitFor } from '../support/server.ts';
import { after, type BusBench, busSuite, payloads, readAll, until } from './bus-suite.ts';

const redis = await startRedis({ after });
const open = new Set<RedisBus>();
after(async () => {
  await Promise.all([...open].map((bus) => bus.close()));
});
let databases = 0;

/** Each bench has a database number of its own, and so its own keys and channels. */
async function bench(): Promise<
  BusBench & { readonly prefix: string; member(): Promise<{ bus: RedisBus; die(): Promise<void> }> }
> {
  const database = ++databases % 16;
  await redis.command('FLUSHALL');
  return {
    prefix: `parley:${database}:`,
    dispatchesAgain: false,
    member: async () => {
      const bus = new RedisBus(`${redis.url}/${database}`, 'test');
      open.add(bus);
      return { bus, die: () => bus.close() };
    },
  };
}

busSuite('Redis', bench);

test('Redis: a log that was lost (FLUSHALL) is read from its new start', async () => {
  const { member } = await bench();
  const { bus } = await member();
  for (const payload of ['1', '2']) await bus.append(payload);
  const position = (await readAll(bus)).at(-1)?.position;
  await redis.command('FLUSHALL');
  await bus.append('new');
  let seen: string[] = [];
  await waitFor(
    async () => {
      seen = payloads(await bus.read(position, 10, 50));
      return seen.length > 0;
    },
    5_000,
    () => 'the new log was never read',
  );
  assert.deepEqual(seen, ['new']);
});

test('Redis: the same when the clock went back, so that the new entries stand below the old position', async () => {
  const { member, prefix } = await bench();
  const { bus } = await member();
  const database = prefix.split(':')[1] as string;
  const client = new (await import('ioredis')).Redis(`${redis.url}/${database}`);
  await client.xadd(`${prefix}log`, '99999999999999-7', 'b', 'from the future');
  const [entry] = await bus.read(undefined, 10, 1_000);
  assert.equal(entry?.position, '99999999999999-7');
  await client.flushall();
  await bus.append('new 1');
  await bus.append('new 2');
  const seen: string[] = [];
  let position = entry?.position;
  await waitFor(
    async () => {
      const entries = await bus.read(position, 1, 50);
      seen.push(...payloads(entries));
      position = entries.at(-1)?.position ?? position;
      return seen.length >= 2;
    },
    5_000,
    () => `read ${seen}`,
  );
  assert.deepEqual(seen, ['new 1', 'new 2']);
  client.disconnect();
});

test('Redis: an empty log that was trimmed is not a lost one', async () => {
  const { member } = await bench();
  const { bus } = await member();
  await bus.append('1');
  const [entry] = await bus.read(undefined, 10, 1_000);
  await bus.trim(entry?.position as string);
  for (let i = 0; i < 3; i++) assert.deepEqual(await bus.read(entry?.position, 10, 30), []);
  await bus.append('2');
  assert.deepEqual(payloads(await bus.read(entry?.position, 10, 1_000)), ['2']);
});

test('G5 Redis: a subscription that was cut off is made again by itself, and onGap is called when it is in force', async () => {
  const { member } = await bench();
  const { bus } = await member();
  const other = await member();
  const heard: string[] = [];
  let gaps = 0;
  bus.onGap(() => {
    gaps++;
    // In force: what is published from now on is heard.
    void other.bus.publish([{ channel: 'a', payload: `after gap ${gaps}` }]);
  });
  await bus.subscribe('a', (payload) => heard.push(payload));
  await bus.subscribe('gone', () => {});
  bus.unsubscribe('gone');
  for (const round of [1, 2]) {
    await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(() => gaps === round, `gap ${round}`);
    await until(() => heard.includes(`after gap ${round}`), 'heard again');
  }
  assert.deepEqual(await redis.command('PUBSUB', 'CHANNELS', '*:gone'), []);
});

test('G6 Redis: joining and leaving in one turn leaves no subscription behind', async () => {
  const { member } = await bench();
  const { bus } = await member();
  await bus.subscribe('stays', () => {});
  const joined = bus.subscribe('goes', () => {});
  bus.unsubscribe('goes');
  await joined;
  await bus.subscribe('mark', () => {});
  assert.deepEqual(await redis.command('PUBSUB', 'CHANNELS', '*:goes'), []);
});

test('G5 Redis: killed and started again, everything works again, and what was appended meanwhile is in the log', {
  timeout: 30_000,
}, async () => {
  const { member } = await bench();
  const { bus } = await member();
  const server = await member();
  await server.bus.serve((payload) => `${payload}!`);
  const heard: string[] = [];
  let gaps = 0;
  bus.onGap(() => gaps++);
  await bus.subscribe('a', (payload) => heard.push(payload));
  await bus.append('before');
  const [before] = await bus.read(undefined, 10, 1_000);
  await redis.kill();
  const appended = bus.append('meanwhile');
  await assert.rejects(bus.request('x', 200));
  await redis.start();
  await appended;
  await until(() => gaps > 0, 'the gap is told');
  await bus.publish([{ channel: 'a', payload: 'again' }]);
  await until(() => heard.includes('again'), 'heard again');
  assert.equal(await bus.request('x', 5_000), 'x!');
  const rest = payloads(await readAll(bus, before?.position));
  assert.ok(rest.includes('meanwhile'), `${rest}`);
});
