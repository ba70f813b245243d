import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { RedisConnections } from '../../src/bus/redis/connection.ts';
import { probeRedis } from '../../src/bus/redis/probe.ts';
import { parseRedisUrl, type RedisTarget } from '../../src/config/redis-url.ts';
import { freePort } from '../support/ports.ts';
import { startRedis } from '../support/redis.ts';
import type { RedisServer } from '../support/redis-server.ts';
import { waitFor } from '../support/wait.ts';

for (const form of ['redis://ADDRESS', 'redis+sentinel://ADDRESS/name', 'redis+cluster://ADDRESS']) {
  test(`${form}: a server that takes the connection and never answers is found out within 4 s at the start`, async (t) => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket.on('error', () => {})));
    t.after(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const { port } = server.address() as AddressInfo;
    // By one clock for both, however long this process does not get to run.
    const probe = probeRedis(parseRedisUrl(form.replace('ADDRESS', `127.0.0.1:${port}`)));
    const late = sleep(4_000, undefined, { ref: false });
    await assert.rejects(Promise.race([probe, late]), /no answer within 3 s|timed out|timeout/i);
  });

  test(`${form}: where nobody listens, the reason is told`, async () => {
    const target = parseRedisUrl(form.replace('ADDRESS', `127.0.0.1:${await freePort()}`));
    await assert.rejects(probeRedis(target), /ECONNREFUSED|unreachable|failed to connect/);
  });
}

test('what is no cluster, and a master that the Sentinels do not know, are told at the start', async (t) => {
  const redis = await startRedis(t);
  await assert.rejects(
    probeRedis(parseRedisUrl(redis.url.replace('redis:', 'redis+cluster:'))),
    /cluster support disabled/,
  );
  const sentinel = await startRedis(t, { sentinel: true });
  await assert.rejects(
    probeRedis(parseRedisUrl(`redis+sentinel://127.0.0.1:${sentinel.port}/chat`)),
    /^Error: the Sentinels know no master named 'chat'$/,
  );
});

test('what a Redis says that lets nobody in is told, and not that the connection broke', async (t) => {
  const redis = await startRedis(t);
  const only = new Redis(redis.url);
  t.after(() => only.disconnect());
  await only.config('SET', 'maxclients', '1');
  await assert.rejects(probeRedis(parseRedisUrl(redis.url)), /^Error: ERR max number of clients reached$/);
});

const USER = ['ACL', 'SETUSER', 'some'] as const;
const WHOLE_USER = [...USER, 'on', '>pw', '~parley:*', '~{parley:*', '&parley:*', '+@all'] as const;

async function eachMissedCommandIsTold(
  redis: RedisServer,
  target: RedisTarget,
  commands: readonly string[],
): Promise<void> {
  for (const command of commands) {
    await redis.command(...USER, `-${command}`);
    await assert.rejects(
      probeRedis(target),
      (error: Error) => error.message.startsWith('NOPERM') && error.message.includes(`'${command}'`),
    );
    await redis.command(...USER, `+${command}`);
  }
}

test('what this user may not do, and Redis does not know, is told at the start; nothing is left behind, and a full Redis will do', async (t) => {
  const redis = await startRedis(t);
  await redis.command(...WHOLE_USER);
  const target = parseRedisUrl(redis.url.replace('//', '//some:pw@'));
  await eachMissedCommandIsTold(redis, target, [
    'xadd',
    'blmpop',
    'evalsha',
    'hset',
    'hexists',
    'publish',
    'subscribe',
    'unsubscribe',
    'time',
    'incr',
    'pttl',
  ]);
  await redis.command('CONFIG', 'SET', 'maxmemory', '1');
  await probeRedis(target);
  assert.equal(await redis.command('DBSIZE'), 0);
});

test('in a cluster, too; and one that is down is told so', async (t) => {
  const redis = await startRedis(t, { config: ['cluster-enabled yes', `cluster-port ${await freePort()}`] });
  await redis.command(...WHOLE_USER);
  const target = parseRedisUrl(redis.url.replace('redis://', 'redis+cluster://some:pw@'));
  await redis.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16382');
  await assert.rejects(probeRedis(target), /^Error: the cluster names no server for any slot/);
  await redis.command('CONFIG', 'SET', 'cluster-announce-ip', '127.0.0.1');
  await assert.rejects(probeRedis(target), /^Error: the cluster is down/);
  await redis.command('CLUSTER', 'ADDSLOTS', '16383');
  await waitFor(
    async () => /cluster_state:ok/.test(`${await redis.command('CLUSTER', 'INFO')}`),
    10_000,
    () => 'the cluster was never well',
  );
  await eachMissedCommandIsTold(redis, target, [
    'xadd',
    'blmpop',
    'spublish',
    'ssubscribe',
    'sunsubscribe',
    'ping',
    'cluster|info',
    'cluster|slots',
    'asking',
  ]);
  await probeRedis(target);
});

test('a Redis that is too old is told so', async (t) => {
  // What an older one answers.
  const redis = await startRedis(t, { config: ['rename-command BLMPOP ""'] });
  await assert.rejects(
    probeRedis(parseRedisUrl(redis.url)),
    /^Error: it knows no BLMPOP: Redis 7 or newer is needed$/,
  );
});

/** @returns what waits until the words of the connections' trouble are right */
const saying =
  (connections: RedisConnections, withinMs: number) =>
  (right: (words: string | undefined) => boolean): Promise<void> =>
    waitFor(
      () => right(connections.trouble),
      withinMs,
      () => `it says ${connections.trouble}`,
    );

test('G10: a server that is a replica is trouble in its own words, and not as a lost connection, until it is the master', async (t) => {
  const redis = await startRedis(t);
  const connections = new RedisConnections(parseRedisUrl(redis.url), 'test');
  t.after(() => connections.close());
  const client = connections.open('commands');
  await client.set('key', 'before');
  await redis.command('REPLICAOF', '127.0.0.1', '1');
  const set = client.set('key', 'after');
  const says = saying(connections, 10_000);
  await says((words) => /^READONLY/.test(words ?? ''));
  // The command is sent again and again, over connections that are made anew.
  await once(client, 'reconnecting');
  assert.match(connections.trouble ?? '', /^READONLY/);
  await redis.command('REPLICAOF', 'NO', 'ONE');
  await set;
  await says((words) => words === undefined);
});

test('G10: a Redis that is loading its data is told as such, at the start and while nodes run, and not as silent; it is used once it is done', async (t) => {
  // It loads for six seconds, longer than a silent one is waited for: so many microseconds a key.
  const redis = await startRedis(t, { config: ['key-load-delay 1000'] });
  await redis.command('EVAL', "for i = 1, 6000 do redis.call('SET', i, i) end", '0');
  const target = parseRedisUrl(redis.url);
  const connections = new RedisConnections(target, 'test');
  t.after(() => connections.close());
  const client = connections.open('commands');
  await client.ping();
  await redis.kill();
  const answered = client.get('6000');
  const said = new Set<string | undefined>();
  const timer = setInterval(() => said.add(connections.trouble), 20);
  t.after(() => clearInterval(timer));
  const started = redis.start().catch(() => {}); // It may take longer on a busy machine: the command below waits.
  await waitFor(
    () => /^LOADING/.test(connections.trouble ?? ''),
    10_000,
    () => `it says ${connections.trouble}`,
  );
  await assert.rejects(probeRedis(target), /^Error: LOADING Redis is loading the dataset in memory$/);
  await started;
  assert.equal(await answered, '6000');
  assert.equal(connections.trouble, undefined);
  assert.ok(![...said].some((words) => /no answer/.test(words ?? '')), `${[...said]}`);
});

test('G10: a Redis that greets, and answers nothing it is asked, is trouble all the time, until it answers', async (t) => {
  const redis = await startRedis(t);
  // With a database, it also answers a SELECT at each reconnect.
  const connections = new RedisConnections(parseRedisUrl(`${redis.url}/1`), 'test');
  t.after(() => connections.close());
  const client = connections.open('commands');
  await client.set('key', 'before');
  // As a Redis does that hands over to a replica: it holds back writes, and serves all else.
  await redis.command('CLIENT', 'PAUSE', '60000', 'WRITE');
  const set = client.set('key', 'after');
  await waitFor(
    () => connections.trouble === 'no answer for 3 s',
    20_000,
    () => `it says ${connections.trouble}`,
  );
  const said = new Set<string | undefined>();
  let reconnects = 0;
  client.on('ready', () => {
    reconnects++;
    said.add(connections.trouble);
  });
  await waitFor(
    () => reconnects === 2,
    20_000,
    () => `${reconnects} reconnects`,
  );
  // It is connected again, and has been greeted. What it was asked before is sent again, and held back again.
  await sleep(200);
  said.add(connections.trouble);
  assert.deepEqual([...said], ['no answer for 3 s']);
  await redis.command('CLIENT', 'UNPAUSE');
  await set;
  assert.equal(connections.trouble, undefined);
});

test('a Redis that refuses PING, as one that can not write to its disk does, keeps its connections; once it takes PING, it is no trouble', async (t) => {
  const redis = await startRedis(t);
  const connections = new RedisConnections(parseRedisUrl(redis.url), 'test');
  t.after(() => connections.close());
  const client = connections.open('subscriber');
  await client.subscribe('channel');
  let closed = 0;
  client.on('close', () => closed++);
  await redis.command('ACL', 'SETUSER', 'default', '-ping');
  const says = saying(connections, 8_000);
  await says((words) => /^NOPERM/.test(words ?? ''));
  // Longer than a silent one is waited for.
  await sleep(5_500);
  assert.equal(closed, 0);
  await redis.command('ACL', 'SETUSER', 'default', '+ping');
  await says((words) => words === undefined);
});
