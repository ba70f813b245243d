import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statfsSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { FaultKind } from '../faults/fault-kind.ts';
import { FAULT_KINDS } from '../faults/fault-kinds.ts';
import { History } from '../faults/history.ts';
import { commandOf, parseOptions } from '../faults/options.ts';
import { isAlive, processTree, signal } from '../faults/processes.ts';
import { createRandom } from '../faults/random.ts';
import { type FaultRecord, measureRecovery, percentile, summarise } from '../faults/recovery.ts';
import { Relay } from '../faults/relay.ts';
import { applicable, schedule } from '../faults/schedule.ts';
import { timeline } from '../faults/timeline.ts';
import { Volume } from '../faults/volume.ts';
import { freePort } from '../support/ports.ts';
import { exited } from '../support/processes.ts';
import { RedisServer } from '../support/redis-server.ts';
import { temporaryFolder } from '../support/server.ts';
import { until } from '../support/wait.ts';

// ---- schedule and seed -----------------------------------------------------------------------------------------

const ALL = new Set(['redis', 'redis-replicas', 'small-disk'] as const);
const take = (seed: string, kinds: readonly FaultKind[], count: number): string[] => {
  const slots = schedule(kinds, createRandom(seed));
  return Array.from({ length: count }, () =>
    slots
      .next()
      .value.kinds.map((kind) => kind.name)
      .join('+'),
  );
};

test('the same seed gives the same schedule, another seed another', () => {
  assert.deepEqual(take('1', FAULT_KINDS, 50), take('1', FAULT_KINDS, 50));
  assert.notDeepEqual(take('1', FAULT_KINDS, 50), take('2', FAULT_KINDS, 50));
});

test('every kind comes about equally often, and some are combined', () => {
  const names = take('3', FAULT_KINDS, 500).flatMap((slot) => slot.split('+'));
  assert.ok(names.length > 550);
  const expected = names.length / FAULT_KINDS.length;
  for (const { name } of FAULT_KINDS) {
    const count = names.filter((n) => n === name).length;
    assert.ok(Math.abs(count - expected) < 6, `${name}: ${count}`);
  }
});

test('faults of one group are never combined', () => {
  const slots = schedule(FAULT_KINDS, createRandom('4'));
  for (let i = 0; i < 500; i++) {
    const groups = slots.next().value.kinds.map((kind) => kind.group);
    assert.equal(new Set(groups).size, groups.length);
  }
});

test('what needs Redis or a small disk is left out where there is none', () => {
  const names = applicable(FAULT_KINDS, new Set(), undefined).map((kind) => kind.name);
  assert.ok(names.includes('writer-kill') && !names.includes('redis-kill') && !names.includes('disk-full'));
  assert.equal(applicable(FAULT_KINDS, ALL, undefined).length, FAULT_KINDS.length);
  assert.throws(() => applicable(FAULT_KINDS, ALL, ['writer-kil']), /no such fault: writer-kil/);
  assert.throws(() => applicable(FAULT_KINDS, new Set(), ['redis-kill']), /none of these faults applies/);
});

test('a fork of a generator does not depend on what was drawn before', () => {
  const [one, two] = [createRandom(9), createRandom(9)];
  two.next();
  assert.equal(one.fork('x').next(), two.fork('x').next());
});

test('the printed command repeats the run', () => {
  const options = parseOptions([
    '--faults',
    '12',
    '--messages',
    '500',
    '--embedded',
    '--only',
    'writer-kill,gateway-kill',
    '--gateways',
    '1',
  ]);
  const again = parseOptions(commandOf(options).split(' -- ')[1]!.split(' '));
  assert.deepEqual(again, options);
  assert.throws(() => parseOptions(['--faults', 'many']), /--faults wants a positive number/);
});

// ---- recovery --------------------------------------------------------------------------------------------------

const fault = (path: FaultRecord['path'], more: Partial<FaultRecord> = {}): FaultRecord => ({
  name: 'f',
  target: '',
  injectedAt: 100,
  healedAt: 200,
  measureFrom: 'inject',
  path,
  combined: false,
  recoveryMs: null,
  servedMs: null,
  replacedMs: null,
  ...more,
});

/** bob's socket 1 on node 1, dropped at 110 and replaced by socket 2 on node 2; a message sent at 50, one at 150. */
function story(): History {
  let now = 0;
  const history = new History(() => now);
  const at = (time: number, event: Parameters<History['record']>[0]): void => {
    now = time;
    history.record(event);
  };
  const opened = { kind: 'opened', device: 'bob/1', user: 'bob', worker: '', protocol: 'full' } as const;
  const message = { via: 'live', from: 'alice', to: 'bob', text: '' } as const;
  const invoked = { kind: 'invoked', socket: 9, user: 'alice', to: 'bob', text: '' } as const;
  at(10, { ...opened, socket: 1, node: 1, since: null });
  at(50, { ...invoked, clientId: 'a' });
  at(110, { kind: 'closed', socket: 1, code: 1006, reason: '' });
  at(150, { ...invoked, clientId: 'b' });
  at(300, { ...opened, socket: 2, node: 2, since: 0 });
  at(310, { ...message, kind: 'delivered', socket: 2, id: 1, clientId: 'a' });
  at(320, { kind: 'page', socket: 2, upto: 1, more: false });
  at(400, { ...message, kind: 'delivered', socket: 2, id: 2, clientId: 'b' });
  return history;
}

test('recovery counts to the next delivery of a message sent after the fault', () => {
  const { events } = story();
  const times = measureRecovery(events, [fault({ kind: 'all' })]).map((f) => f.recoveryMs);
  assert.deepEqual(times, [300]);
});

test('everybody is served when the last of those with a socket has had such a delivery', () => {
  const { events } = story();
  assert.equal(measureRecovery(events, [fault({ kind: 'all' })])[0]!.servedMs, 300);
  const carol = { kind: 'opened', device: 'carol/1', user: 'carol', worker: '', protocol: 'full' } as const;
  const more = [...events, { ...carol, socket: 3, node: 1, since: null, at: 400 }];
  assert.equal(measureRecovery(more, [fault({ kind: 'all' })])[0]!.servedMs, null);
  assert.equal(measureRecovery(events, [fault({ kind: 'node', node: 2 })])[0]!.servedMs, null);
});

test('recovery of a gateway counts to the next message for a device that lost its socket', () => {
  const { events } = story();
  assert.equal(measureRecovery(events, [fault({ kind: 'dropped', node: 1 })])[0]!.recoveryMs, 210);
  assert.equal(measureRecovery(events, [fault({ kind: 'dropped', node: 2 })])[0]!.recoveryMs, null);
});

test('recovery of a node, of catch-up, from the heal, and not beyond the next fault', () => {
  const { events } = story();
  const of = (...faults: FaultRecord[]): (number | null)[] =>
    measureRecovery(events, faults).map((f) => f.recoveryMs);
  assert.deepEqual(of(fault({ kind: 'node', node: 2 })), [300]);
  assert.deepEqual(of(fault({ kind: 'node', node: 1 })), [null]);
  assert.deepEqual(of(fault({ kind: 'catch-up' })), [220]);
  assert.deepEqual(of(fault({ kind: 'catch-up' }, { measureFrom: 'heal' })), [120]);
  assert.deepEqual(of(fault({ kind: 'all' }), fault({ kind: 'all' }, { injectedAt: 350 })), [null, null]);
  assert.deepEqual(of(fault({ kind: 'all' }, { combined: true })), [null]);
});

test('recovery times are summed up by kind', () => {
  const times = Array.from({ length: 100 }, (_, i) =>
    fault({ kind: 'all' }, { recoveryMs: i + 1, servedMs: i + 2, replacedMs: i }),
  );
  const [summary] = summarise([...times, fault({ kind: 'all' })]);
  assert.deepEqual(summary, {
    name: 'f',
    count: 101,
    measured: 100,
    p50: 50,
    p99: 99,
    max: 100,
    servedMax: 101,
    replacedMax: 99,
  });
  assert.ok(Number.isNaN(percentile([], 0.5)));
});

test('the timeline counts rates and latencies by the second', () => {
  const { moments, stretchMs } = timeline(story().events);
  assert.equal(stretchMs, 1000);
  assert.equal(moments.length, 1);
  const { sent, delivered, p50, p99, connected } = moments[0]!;
  assert.deepEqual(
    { sent, delivered, p50, p99, connected },
    { sent: 2, delivered: 2, p50: 250, p99: 260, connected: 0 },
  );
});

// ---- relay -----------------------------------------------------------------------------------------------------

async function echoBehindRelay(t: TestContext): Promise<Relay> {
  const echo = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const relay = new Relay((echo.address() as AddressInfo).port);
  await relay.start();
  t.after(async () => {
    await relay.stop();
    echo.close();
  });
  return relay;
}

async function dial(t: TestContext, relay: Relay): Promise<Socket> {
  const socket = connect(relay.port, '127.0.0.1').on('error', () => {});
  await once(socket, 'connect');
  t.after(() => socket.destroy());
  return socket;
}

/** What comes back for `text`; undefined for nothing within `boundMs`. */
async function says(socket: Socket, text: string, boundMs = 10_000): Promise<string | undefined> {
  const answer = once(socket, 'data', { signal: AbortSignal.timeout(boundMs) });
  socket.write(text);
  return answer.then(
    ([data]) => String(data),
    () => undefined,
  );
}

test('relay: silence leaves connections open and deaf, and new ones work', async (t) => {
  const relay = await echoBehindRelay(t);
  const old = await dial(t, relay);
  assert.equal(await says(old, 'a'), 'a');
  assert.equal(relay.silence('all'), 1);
  assert.equal(await says(old, 'b', 200), undefined);
  assert.equal(old.readyState, 'open');
  assert.equal(await says(await dial(t, relay), 'c'), 'c');
  assert.equal(await says(old, 'd', 200), undefined);
});

test('relay: silence for subscribers alone', async (t) => {
  const relay = await echoBehindRelay(t);
  const [subscriber, other] = [await dial(t, relay), await dial(t, relay)];
  await says(subscriber, '*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nx\r\n');
  await says(other, '*1\r\n$4\r\nPING\r\n');
  assert.equal(relay.silence('subscribers'), 1);
  assert.equal(await says(subscriber, 'a', 200), undefined);
  assert.equal(await says(other, 'b'), 'b');
});

test('relay: in a blackout new connections are taken and silent, until it is over', async (t) => {
  const relay = await echoBehindRelay(t);
  relay.blackout();
  const during = await dial(t, relay);
  assert.equal(await says(during, 'a', 200), undefined);
  relay.restore();
  assert.equal(await says(during, 'b', 200), undefined);
  assert.equal(await says(await dial(t, relay), 'c'), 'c');
});

test('relay: the end of a connection is passed on', async (t) => {
  const relay = await echoBehindRelay(t);
  const socket = await dial(t, relay);
  await says(socket, 'a');
  const closed = once(socket, 'close');
  relay.cut();
  await closed;
  assert.ok(await until(() => relay.live === 0, 5_000));
});

// ---- processes, Redis, volume ----------------------------------------------------------------------------------

test('processes are found below their parent by the title they give themselves', async () => {
  const script = `process.title = 'parley: gateway 1'; setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, [
    '-e',
    `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(script)}]); setInterval(() => {}, 1000);`,
  ]);
  try {
    let found = processTree(parent.pid!);
    const gateway = () => found.find((p) => p.title === 'parley: gateway 1');
    await until(() => {
      found = processTree(parent.pid!);
      return gateway() !== undefined;
    }, 10_000);
    const child = gateway();
    assert.ok(child, JSON.stringify(found));
    assert.ok(isAlive(child) && signal(child, 'SIGKILL'));
    assert.ok(await until(() => !isAlive(child), 10_000));
    assert.ok(!signal(child, 'SIGKILL'));
  } finally {
    parent.kill('SIGKILL');
    assert.ok(await exited(parent, 10_000));
  }
});

test('a killed Redis comes back on its port, with its data or without', async (t) => {
  const directory = temporaryFolder(t);
  const redis = new RedisServer({
    port: await freePort(),
    directory: join(directory, 'data'),
  });
  t.after(() => redis.kill());
  await redis.start();
  await redis.command('SET', 'a', '1');
  await redis.kill();
  await assert.rejects(redis.command('GET', 'a'));
  await redis.start();
  assert.equal(await redis.command('GET', 'a'), '1');
  await redis.kill();
  redis.forget();
  await redis.start();
  assert.equal(await redis.command('GET', 'a'), null);
});

test('a small disk can be filled to the last block and freed again', { skip: !Volume.available }, (t) => {
  const volume = new Volume(temporaryFolder(t));
  volume.mount(2);
  try {
    writeFileSync(join(volume.directory, 'x'), 'x');
    volume.fill();
    assert.equal(statfsSync(volume.directory).bavail, 0);
    assert.throws(() => writeFileSync(join(volume.directory, 'y'), 'y'.repeat(5_000)), /ENOSPC/);
    volume.free();
    writeFileSync(join(volume.directory, 'y'), 'y'.repeat(5_000));
  } finally {
    volume.unmount();
  }
});
