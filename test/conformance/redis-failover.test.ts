import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer } from 'node:net';
import { type Duplex, PassThrough, Transform } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import slotOf from 'cluster-key-slot';
import { sleep, systemClock } from '../../src/base/clock.ts';
import { CHANNELS } from '../../src/bus/channels.ts';
import { CommandSender } from '../../src/bus/command-sender.ts';
import { RedisLeaser } from '../../src/bus/redis/lease.ts';
import type { Position } from '../../src/core/bus.ts';
import { Relay } from '../faults/relay.ts';
import type { RedisServer } from '../support/redis-server.ts';
import { startCluster, startSecured, startSentinel, startSingle } from '../support/redis-topologies.ts';
import { waitFor } from '../support/wait.ts';
import { PATIENCE_MS, payloads, readAll, until } from './bus-suite.ts';
import { identity, kindOf } from './leaser-suite.ts';
import { type RedisHome, redisBusFixture, startHome } from './redis-fixture.ts';

/*
 * A server is gone for good and another takes its place: what the bus must notice by itself, and what it may lose.
 */

/** Servers replace a dead one after one second here, and agree on it; the machine may be busy. */
const REPLACED_WITHIN_MS = 30_000;

type Stage = { home: RedisHome; member: ReturnType<typeof redisBusFixture>['member'] };

async function stage(t: TestContext, start: Parameters<typeof startHome>[0]): Promise<Stage> {
  const tasks: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const task of tasks) await task();
  });
  const home = await startHome(start, { after: (task) => tasks.unshift(task) });
  const fixture = redisBusFixture(home);
  tasks.unshift(() => fixture.close());
  return { home, member: fixture.member };
}

/** A channel at each of the cluster's masters. */
async function channelsAtAll({ masterOf, prefix }: RedisHome): Promise<Map<RedisServer, string>> {
  const channels = new Map<RedisServer, string>();
  for (let i = 0; channels.size < 3; i++) {
    const master = await masterOf(`${prefix}u:${i}`);
    if (!channels.has(master)) channels.set(master, `u:${i}`);
  }
  return channels;
}

test('Redis Cluster: one batch reaches channels at all masters, in order, and no master twice', async (t) => {
  const { home, member } = await stage(t, (options) => startCluster(options));
  const [one, two] = [await member(), await member()];
  const channels = [...(await channelsAtAll(home)).values()];
  const heard: string[] = [];
  for (const channel of channels)
    await one.bus.subscribe(channel, (payload) => heard.push(`${channel} ${payload}`));
  const sent = Array.from({ length: 1_500 }, (_, i) => ({
    channel: channels[i % 3] as string,
    payload: `${i}`,
  }));
  await Promise.all([0, 500, 1_000].map((from) => two.bus.publish(sent.slice(from, from + 500))));
  await until(() => heard.length === sent.length, 'all was heard');
  for (const channel of channels) {
    assert.deepEqual(
      heard.filter((line) => line.startsWith(`${channel} `)),
      sent.flatMap((it) => (it.channel === channel ? [`${channel} ${it.payload}`] : [])),
    );
  }
});

test('G5 Redis Cluster: who subscribes at a master that lives does not wait for one that is dead', async (t) => {
  const { home, member } = await stage(t, (options) => startCluster(options));
  const { bus } = await member();
  const [[dead, there], [, here]] = [...(await channelsAtAll(home))] as [
    [RedisServer, string],
    [RedisServer, string],
  ];
  await bus.subscribe('u:first', () => {});
  dead.signal('SIGSTOP');
  const subscribed: string[] = [];
  for (const channel of [there, here])
    void bus
      .subscribe(channel, () => {})
      .then(
        () => subscribed.push(channel),
        () => {},
      );
  await until(() => subscribed.length > 0, 'one is in force');
  assert.deepEqual(subscribed, [here]);
});

// At once, as other tests that mostly wait.
describe('a master of a cluster that takes nothing', { concurrency: true }, () => {
  for (const end of ['is dead', 'says nothing'] as const) {
    test(`G5 Redis Cluster: publications at a master that lives wait once for one that ${end}, and not each time`, async (t) => {
      const { home, member } = await stage(t, (options) => startCluster(options));
      await home.command('CONFIG', 'SET', 'cluster-require-full-coverage', 'no');
      const { bus } = await member();
      const [[dead, there], [, here]] = [...(await channelsAtAll(home))] as [
        [RedisServer, string],
        [RedisServer, string],
      ];
      const publish = (channel: string): Promise<void> => bus.publish([{ channel, payload: '' }]);
      await publish(there);
      if (end === 'is dead') await dead.kill();
      else dead.signal('SIGSTOP');
      await assert.rejects(publish(there));
      const began = performance.now();
      for (let i = 0; i < 3; i++) {
        await publish(here);
        const [lost] = await Promise.allSettled([publish(there), publish(here)]);
        assert.equal(lost.status, 'rejected');
      }
      const took = performance.now() - began;
      // It takes nine seconds if each of the three waits.
      assert.ok(took < 6_000, `${took} ms`);
      // It is back.
      if (end === 'is dead') await dead.start();
      else dead.signal('SIGCONT');
      await waitFor(
        () =>
          publish(there).then(
            () => true,
            () => false,
          ),
        REPLACED_WITHIN_MS,
        () => 'the master that is back takes nothing',
      );
    });
  }
});

test('G5 Redis Cluster: a slot moves to another master while it is subscribed: heard again, after onGap; who leaves meanwhile leaves no subscription behind', async (t) => {
  const { home, member } = await stage(t, (options) => startCluster(options));
  const [one, two] = [await member(), await member()];
  const heard: string[] = [];
  let gaps = 0;
  one.bus.onGap(() => {
    gaps++;
    void two.bus.publish([{ channel: 'u:1', payload: `after gap ${gaps}` }]);
  });
  await one.bus.subscribe('u:1', (payload) => heard.push(payload));
  const key = `${home.prefix}u:1`;
  const from = await home.masterOf(key);
  // A third of them at the same master, whose other slots stay.
  const leaving = Array.from({ length: 60 }, (_, i) => `leaving:${i}`);
  await Promise.all(leaving.map((channel) => one.bus.subscribe(channel, () => {})));
  const to = home.servers.find((it) => it !== from) as RedisServer;
  const id = `${await to.command('CLUSTER', 'MYID')}`;
  await to.command(
    'CLUSTER',
    'SETSLOT',
    `${slotOf(key)}`,
    'IMPORTING',
    `${await from.command('CLUSTER', 'MYID')}`,
  );
  await from.command('CLUSTER', 'SETSLOT', `${slotOf(key)}`, 'MIGRATING', id);
  await two.bus.publish([{ channel: 'u:1', payload: 'while it moves' }]);
  await until(() => heard.includes('while it moves'), 'heard while it moves');
  for (const server of [to, from, ...home.servers.filter((it) => it !== to && it !== from)])
    await server.command('CLUSTER', 'SETSLOT', `${slotOf(key)}`, 'NODE', id);
  for (const channel of leaving) {
    one.bus.unsubscribe(channel);
    await sleep(2);
  }
  await until(() => gaps > 0, 'the gap is told');
  await until(() => heard.includes(`after gap ${gaps}`), 'heard again');
  for (const payload of ['1', '2', '3']) await two.bus.publish([{ channel: 'u:1', payload }]);
  await until(() => heard.includes('3'), 'heard at the new master');
  assert.deepEqual(heard.slice(-3), ['1', '2', '3']);
  await until(
    async () => (await home.command('PUBSUB', 'SHARDCHANNELS', '*:leaving:*')).flat().length === 0,
    'no subscription is left behind',
  );
});

test('G5 Redis Cluster: a master is killed and its replica takes over: subscriptions are in force again, and onGap is called', {
  timeout: 120_000,
}, async (t) => {
  const { home, member } = await stage(t, (options) => startCluster(options, 1));
  const [one, two] = [await member(), await member()];
  const channels = await channelsAtAll(home);
  const heard: string[] = [];
  let gaps = 0;
  one.bus.onGap(() => {
    gaps++;
    // In force: what is published from now on is heard.
    for (const channel of channels.values())
      void two.bus.publish([{ channel, payload: `after gap ${gaps}` }]).catch(() => {});
  });
  for (const channel of channels.values())
    await one.bus.subscribe(channel, (payload) => heard.push(`${channel} ${payload}`));
  const doomed = await home.masterOf(`${home.prefix}log`);
  await two.bus.append('before');
  const killed = Date.now();
  await doomed.kill();
  const appended = two.bus.append('meanwhile');
  await waitFor(
    () =>
      gaps > 0 && [...channels.values()].every((channel) => heard.includes(`${channel} after gap ${gaps}`)),
    REPLACED_WITHIN_MS,
    () => `${gaps} gaps, heard ${heard}`,
  );
  t.diagnostic(`subscriptions are in force ${Date.now() - killed} ms after the kill`);
  await appended;
  assert.ok(payloads(await readAll(one.bus)).includes('meanwhile'));
  // The old master comes back as a replica, and nobody takes it for the master.
  await doomed.start();
  await one.bus.subscribe('mark', (payload) => heard.push(payload));
  await two.bus.publish([{ channel: 'mark', payload: 'marked' }]);
  await until(() => heard.includes('marked'), 'heard with the old master back');
});

type Way = () => Duplex;
const open: Way = () => new PassThrough();
/** Takes so many bytes a millisecond at most. */
const narrow =
  (bytesPerMs: number): Way =>
  () =>
    new Transform({
      transform: (chunk, _, done) => void setTimeout(done, chunk.length / bytesPerMs, null, chunk),
    });

/**
 * A way to a server at another address. `front` leads new connections to a port, and answers where to come in; `taken` counts
 * them. What is sent goes through `there`, answers through `back`.
 */
async function passage(t: TestContext, { there = open, back = open }: { there?: Way; back?: Way } = {}) {
  let target = 0;
  let connections = 0;
  const server = createServer((near) => {
    connections++;
    const far = connect(target, '127.0.0.1');
    near.on('error', () => {}).on('close', () => far.destroy());
    far.on('error', () => {}).on('close', () => near.destroy());
    near.pipe(there()).pipe(far).pipe(back()).pipe(near);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  t.after(() => server.close());
  const front = async (port: number): Promise<number> => {
    target = port;
    return (server.address() as AddressInfo).port;
  };
  return { front, taken: () => connections };
}

test('G5 Redis: an address that leads to a new master while the old one lives: nobody writes or publishes at the old one', async (t) => {
  const { front } = await passage(t);
  const { home: old, member } = await stage(t, (options) => startSingle({ ...options, front }));
  const { home: next } = await stage(t, startSingle);
  const [from, to] = [old.servers[0] as RedisServer, next.servers[0] as RedisServer];
  const [appends, publishes] = [await member(), await member()];
  await appends.bus.append('before');
  await publishes.bus.publish([{ channel: 'a', payload: 'before' }]);

  await to.command('REPLICAOF', '127.0.0.1', `${from.port}`);
  await waitFor(
    async () => (await to.info('master_link_status')) === 'up',
    REPLACED_WITHIN_MS,
    () => 'the replica never caught up',
  );
  await to.command('REPLICAOF', 'NO', 'ONE');
  await from.command('REPLICAOF', '127.0.0.1', `${to.port}`);
  await front(to.port);
  await appends.bus.append('after');
  await publishes.bus.publish([{ channel: 'a', payload: 'after' }]);
  const clients = `${await to.command('CLIENT', 'LIST')}`;
  assert.equal(clients.match(/ name=parley:\S+:commands /g)?.length, 2, clients);
});

describe('a master of a cluster that goes silent', { concurrency: true }, () => {
  for (const which of ['subscribers', 'others'] as const) {
    test(`G5 Redis Cluster: ${which === 'others' ? 'connections for commands' : 'subscriptions'} at a master that go silent are noticed within 5 s`, async (t) => {
      const relays = new Map<number, Relay>();
      t.after(() => Promise.all([...relays.values()].map((relay) => relay.stop())));
      const front = async (port: number): Promise<number> => {
        const relay = new Relay(port);
        relays.set(port, relay);
        await relay.start();
        return relay.port;
      };
      const { home, member } = await stage(t, (options) => startCluster({ ...options, front }));
      const [one, two] = [await member(), await member()];
      const heard: string[] = [];
      let gaps = 0;
      one.bus.onGap(() => gaps++);
      await one.bus.subscribe('a', (payload) => heard.push(payload));
      await two.bus.publish([{ channel: 'a', payload: 'before' }]);
      await until(() => heard.includes('before'), 'heard before');
      relays.get((await home.masterOf(`${home.prefix}a`)).port)?.silence(which);
      if (which === 'subscribers')
        await waitFor(
          () => gaps > 0,
          PATIENCE_MS,
          () => 'the gap is not told',
        );
      // Resolves when it was handed over on another connection.
      const began = Date.now();
      await two.bus.publish([{ channel: 'a', payload: 'again' }]);
      // The relay ends a silent connection after two minutes, TCP after fifteen.
      assert.ok(Date.now() - began < 20_000, `${Date.now() - began} ms`);
      await until(() => heard.includes('again'), 'heard again');
    });
  }
});

describe('a slow way to Redis', { concurrency: true }, () => {
  test('G5 Redis: an answer that takes longer to arrive than a dead connection has to answer is waited for, and not asked for again for ever', {
    timeout: 90_000,
  }, async (t) => {
    const { front, taken } = await passage(t, { back: narrow(1_300) });
    const { home, member } = await stage(t, (options) => startSingle({ ...options, front }));
    const { bus } = await member();
    await bus.read(undefined, 1, 1);
    const opened = taken();
    const payload = 'x'.repeat(1024 * 1024);
    for (let i = 0; i < 8; i++)
      await home.servers[0]?.command('XADD', `${home.prefix}log`, '*', 'b', payload);
    const began = performance.now();
    const entries = await bus.read(undefined, 8, 1_000);
    assert.equal(entries.length, 8);
    assert.ok(performance.now() - began > 5_000, 'it took long enough to tell');
    assert.equal(taken(), opened, 'on the connection that there was');
  });

  for (const [form, start] of [
    ['Redis', startSingle],
    ['Redis with TLS', startSecured],
  ] as const) {
    test(`G5 ${form}: what takes longer to send than a dead connection has to answer is not sent again for ever; one that dies meanwhile is noticed`, {
      timeout: 120_000,
    }, async (t) => {
      let dead = false;
      const there: Way = () => {
        const way = narrow(4_000)();
        way.on('data', () => dead && way.pause());
        return way;
      };
      const { front, taken } = await passage(t, { there });
      const { member } = await stage(t, (options) => start({ ...options, front }));
      const { bus } = await member();
      const answers = Array.from({ length: 32 }, () => ({ channel: 'a', payload: 'x'.repeat(1024 * 1024) }));
      await bus.publish([{ channel: 'a', payload: 'before' }]);
      const opened = taken();
      const began = performance.now();
      await bus.publish(answers);
      assert.ok(performance.now() - began > 6_000, 'it took long enough to tell');
      assert.equal(taken(), opened, 'on the connection that there was');

      const lost = bus.publish(answers);
      lost.catch(() => {}); // The test's end is first.
      await sleep(1_000);
      dead = true;
      await waitFor(
        () => taken() > opened,
        PATIENCE_MS,
        () => 'nobody noticed',
      );
    });
  }
});

test('G5, G7 Redis Sentinel: the master is killed with an entry that only it had: all works again, and the gateway sends it again', {
  timeout: 120_000,
}, async (t) => {
  const { home, member } = await stage(t, startSentinel);
  const [gateway, store] = [await member(), await member()];
  const [master, replica] = home.servers as [RedisServer, RedisServer];
  const heard: string[] = [];
  let gaps = 0;
  gateway.bus.onGap(() => gaps++);
  await gateway.bus.subscribe('a', (payload) => heard.push(payload));
  await store.bus.serve((payload) => `${payload}!`);
  const leaser = new RedisLeaser(store.bus.redis, home.prefix, 'store');
  assert.equal(await kindOf(leaser.renew(identity())), 'held');

  // The store reads what the replica never gets: its place in the log is beyond what the new master has.
  await gateway.bus.append('replicated');
  await waitFor(
    async () => (await replica.info('master_repl_offset')) === (await master.info('master_repl_offset')),
    PATIENCE_MS,
    () => 'the replica never caught up',
  );
  replica.signal('SIGSTOP');
  const sender = new CommandSender(gateway.bus, systemClock, 'gateway');
  t.after(() => sender.stop());
  await sender.start();
  const command = { kind: 'send', from: 'a', to: 'b', text: 'only there', clientId: '1' } as const;
  const settled = new Promise((resolve) => sender.submit(command, resolve));
  let position: Position | undefined;
  const read: string[] = [];
  const readOn = async (): Promise<void> => {
    for (const entry of await store.bus.read(position, 10, 200)) {
      position = entry.position;
      read.push(entry.payload);
    }
  };
  await waitFor(
    async () => {
      await readOn();
      return read.some((payload) => payload.includes('only there'));
    },
    PATIENCE_MS,
    () => `read ${read}`,
  );
  read.length = 0;
  await master.kill();
  replica.signal('SIGCONT');
  const killed = Date.now();

  // The writer's answer, to what it reads from the new master.
  await waitFor(
    async () => {
      await readOn().catch(() => {});
      return read.some((payload) => payload.includes('only there'));
    },
    REPLACED_WITHIN_MS,
    () => `read ${read}`,
  );
  t.diagnostic(`read again ${Date.now() - killed} ms after the kill`);
  assert.equal((await home.masterOf('any')).port, replica.port);
  const { seq } = JSON.parse(read.find((payload) => payload.includes('only there')) as string) as {
    seq: number;
  };
  await store.bus.publish([
    { channel: CHANNELS.gateway('gateway'), payload: JSON.stringify({ seq, outcomes: [] }) },
  ]);
  assert.deepEqual(await settled, { kind: 'done' });
  await until(() => gaps > 0, 'the gap is told');
  await store.bus.publish([{ channel: 'a', payload: 'again' }]);
  await until(() => heard.includes('again'), 'heard again');
  assert.equal(await gateway.bus.request('x', PATIENCE_MS), 'x!');
  assert.equal(await kindOf(leaser.renew(identity())), 'held');
});

test('G5 Redis Sentinel: when a replica is made the master, nobody stays with the old one, which lives', {
  timeout: 120_000,
}, async (t) => {
  const { home, member } = await stage(t, startSentinel);
  const [one, two] = [await member(), await member()];
  const heard: string[] = [];
  let gaps = 0;
  one.bus.onGap(() => gaps++);
  await one.bus.subscribe('a', (payload) => heard.push(payload));
  await two.bus.append('before');
  const [old, next] = home.servers as [RedisServer, RedisServer];
  await home.failOver?.();
  await waitFor(
    async () => (await home.masterOf('any')) === next,
    REPLACED_WITHIN_MS,
    () => 'the replica never became the master',
  );
  const switched = Date.now();
  const clients = async (): Promise<string[]> =>
    `${await old.command('CLIENT', 'LIST')}`.split('\n').filter((line) => / name=parley:/.test(line));
  await waitFor(
    async () => (await clients()).length === 0,
    PATIENCE_MS,
    () => 'somebody is still at the old master',
  );
  t.diagnostic(`nobody is at the old master ${Date.now() - switched} ms after the switch`);
  await until(() => gaps > 0, 'the gap is told');
  await two.bus.publish([{ channel: 'a', payload: 'again' }]);
  await until(() => heard.includes('again'), 'heard again');
});
