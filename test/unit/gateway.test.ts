import assert from 'node:assert/strict';
import { after, mock, test } from 'node:test';
import type { LoginLimits } from '../../src/auth/login-limits.ts';
import { sleep } from '../../src/base/clock.ts';
import { CHANNELS } from '../../src/bus/channels.ts';
import { CLOSE } from '../../src/contract/errors.ts';
import { LIMITS } from '../../src/contract/limits.ts';
import { type Beat, encodeMessages } from '../../src/core/events.ts';
import { Gateway } from '../../src/gateway/gateway.ts';
import { connect, TestSocket } from '../support/client.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { RawConnection, rawRequest, upgradeLines } from '../support/raw.ts';
import { ScriptedBus, settle } from '../support/scripted-bus.ts';
import { messageText, PAGE } from '../support/session-fixture.ts';
import { waitFor } from '../support/wait.ts';

/*
 * One gateway with real sockets, on a bus, a writer and a store that the test plays.
 */

const says = (): void => {};

async function fixture({
  noticeMs = 0,
  lastAnswersMs = 1_000,
  connectionsMax = Number.POSITIVE_INFINITY,
} = {}) {
  const clock = new ManualClock();
  const bus = new ScriptedBus();
  const port = bus.port();
  /** Where the other gateways and the writer speak. */
  const others = bus.port();
  const asked: string[] = [];
  /** What the store has of everybody: one message, of this id, or none. */
  const store = { newest: 0 };
  const said: unknown[] = [];
  const warned: unknown[] = [];
  port.request = async (payload: string) => {
    const [name, params] = JSON.parse(payload);
    asked.push(name === 'catchUp' ? `${params.user} since ${params.since}` : name);
    const { newest } = store;
    const page =
      newest > params.since
        ? { ...PAGE, ids: [newest], frames: [messageText(newest)], upto: newest, head: newest }
        : PAGE;
    return JSON.stringify({ ok: name === 'info' ? { epoch: 'e', tokenSecret: 'secret' } : page });
  };
  const gateway = new Gateway({
    settings: {
      host: '127.0.0.1',
      port: 0,
      sharePort: false,
      connectionsMax,
      localNamesOnly: false,
      corsOrigins: '*',
      trustProxy: false,
      auth: { mode: 'open' },
      passwordMinLength: 1,
      rateLimits: true,
      drain: { noticeMs, patienceMs: 1_000, lastAnswersMs },
    },
    bus: port,
    limits: {} as LoginLimits,
    clock,
    instance: 'g1',
    name: 'node/1',
    log: {
      debug: says,
      info: (fields) => said.push(fields),
      warn: (fields) => warned.push(fields),
      error: says,
      fatal: says,
    },
  });
  await gateway.start();
  after(async () => {
    const stopped = gateway.stop();
    await sleep(20);
    clock.advance(1_000); // Whatever a failed test has left unanswered.
    await stopped;
  });
  await settle();
  let seq = 0;
  const tell = (channel: string, payload: string): void => {
    void others.publish([{ channel, payload }]);
    port.deliver();
  };
  const beat = (more: Partial<Beat> = {}): void =>
    tell(
      CHANNELS.beat,
      JSON.stringify({
        term: 't',
        seq: ++seq,
        epoch: 'e',
        writer: { ok: true },
        heads: [],
        revoked: [],
        ...more,
      }),
    );
  return {
    clock,
    bus,
    port,
    others,
    gateway,
    url: `http://127.0.0.1:${gateway.address.port}`,
    store,
    /** What it has logged as news. */
    said,
    /** What it has logged as a warning. */
    warned,
    tell,
    beat,
    /** The beat that was next is lost. */
    loseBeat: (): number => ++seq,
    /** What the store was asked since the last call. */
    asked: async (): Promise<string[]> => {
      await settle(20);
      return asked.splice(0);
    },
  };
}

test('H12: ready when the writer has been heard and a reader has answered; not while the writer can not commit, and sends are refused at once', async () => {
  const { url, beat } = await fixture();
  const ready = async (): Promise<number> => (await fetch(`${url}/readyz`)).status;
  assert.equal(await ready(), 503);
  beat();
  assert.equal(await ready(), 200);
  assert.equal((await fetch(`${url}/livez`)).status, 200);
  beat({ writer: { ok: false, reason: 'the disk is full' } });
  assert.equal(await ready(), 503);
  assert.equal((await fetch(`${url}/livez`)).status, 200);
  const ann = await connect(url, 'ann', undefined);
  ann.send({ type: 'message', to: 'bob', message: 'hi', client_id: 'c1' });
  const error = await ann.type('error');
  assert.deepEqual([error['code'], error['retryable'], error['client_id']], ['unavailable', true, 'c1']);
  ann.close();
});

test('a send that is refused at once is not counted as taken in', async () => {
  const { url, gateway, beat } = await fixture();
  const accepted = async (): Promise<unknown> => (await gateway.metrics.accepted.get()).values[0]?.value;
  beat();
  const ann = await connect(url, 'ann', undefined);
  beat({ writer: { ok: false, reason: 'the disk is full' } });
  ann.send({ type: 'message', to: 'bob', message: 'refused' });
  await ann.type('error');
  assert.equal(await accepted(), 0);
  beat();
  ann.send({ type: 'message', to: 'bob', message: 'taken in' });
  ann.send({ type: 'ping' });
  await ann.type('pong');
  assert.equal(await accepted(), 1);
  ann.close();
});

test('G6: a socket that has closed is not among the open ones any more, and keeps nothing', async () => {
  const { url, gateway, beat } = await fixture();
  const open = async (): Promise<unknown> =>
    (await gateway.metrics.snapshot()).find(({ name }) => name === 'parley_sockets')?.values[0]?.value;
  beat();
  const [ann, bob] = await Promise.all(['ann', 'bob'].map((user) => connect(url, user, undefined)));
  assert.equal(await open(), 2);
  ann?.close();
  await waitFor(
    async () => (await open()) === 1,
    5_000,
    () => 'it counts as open',
  );
  bob?.close();
});

test('R4: another epoch closes every socket with 1012, connected or not, and says so; the same one closes none', async () => {
  const { url, beat } = await fixture();
  beat();
  const sockets = [await connect(url, 'ann', undefined), await connect(url, 'bob', undefined)];
  const early = new TestSocket(url);
  await early.opened;
  beat();
  sockets[0]?.send({ type: 'ping' });
  await sockets[0]?.type('pong');
  beat({ term: 'u', epoch: 'f' });
  for (const { closed, frames } of [...sockets, early]) {
    assert.equal((await closed).code, CLOSE.restart.code);
    const { type, code, reconnect_after_ms: ms } = frames.at(-1) ?? { type: 'nothing' };
    assert.deepEqual([type, code], ['closing', 'shutting_down']);
    assert.ok(Number(ms) >= 0 && Number(ms) <= 2_000, `reconnect_after_ms: ${ms}`);
  }
});

test('G5: the store is asked about everybody after a gap, a lost beat and one that can not be read, and about those whom a beat names', async () => {
  const { port, url, tell, beat, loseBeat, asked } = await fixture();
  beat();
  const ann = await connect(url, 'ann', undefined);
  const bob = await connect(url, 'bob', undefined);
  await asked();
  const all = ['ann since 0', 'bob since 0'];
  beat();
  assert.deepEqual(await asked(), []);
  port.gap();
  assert.deepEqual(await asked(), all);
  loseBeat();
  beat();
  assert.deepEqual(await asked(), all);
  tell(CHANNELS.beat, '{"of":"a later version"}');
  assert.deepEqual(await asked(), all);
  beat({ revoked: ['ann'] });
  assert.deepEqual(await asked(), ['ann since 0']);
  tell(CHANNELS.user('bob'), encodeMessages(0, 0, [7], ['{"type":"message","id":7}']));
  beat({ heads: [['bob', 7]] });
  assert.deepEqual(await asked(), [], 'that is known');
  assert.deepEqual((await bob.type('message'))['id'], 7);
  beat({ heads: [['ann', 8]] });
  assert.deepEqual(await asked(), ['ann since 0']);
  ann.close();
  bob.close();
});

test('G5: what came from the store after a gap is told in one line, not in one for each user', async () => {
  const { clock, url, port, said, store, beat } = await fixture();
  beat();
  const sockets = [await connect(url, 'ann', undefined), await connect(url, 'bob', undefined)];
  store.newest = 7;
  port.gap();
  for (const socket of sockets) assert.equal((await socket.type('message'))['id'], 7);
  clock.advance(1_000);
  const line = { event: 'repaired', repairs: 2, messages: 2 };
  assert.deepEqual(said, [line]);
  store.newest = 8;
  port.gap();
  for (const socket of sockets) await socket.type('message', 2);
  clock.advance(1_000);
  assert.deepEqual(said, [line, line], 'and so is what comes later');
  for (const socket of sockets) socket.close();
});

test('S2: typing goes to the channel of a user who is online, on this gateway or another, and nowhere for one who is not', async () => {
  const { clock, others, url, tell, beat } = await fixture();
  const heard: string[] = [];
  for (const user of ['bob', 'eve', 'nobody'])
    await others.subscribe(CHANNELS.user(user), (payload) => heard.push(`${user}: ${payload}`));
  beat();
  const ann = await connect(url, 'ann', undefined);
  const bob = await connect(url, 'bob', undefined);
  tell(CHANNELS.presence, JSON.stringify({ gateway: 'g2', seq: 1, counts: [['eve', 1]], all: true }));
  let pongs = 0;
  for (const to of ['nobody', 'bob', 'eve']) {
    clock.advance(LIMITS.typingMs);
    ann.send({ type: 'typing', to });
    ann.send({ type: 'ping' });
    await ann.type('pong', ++pongs);
  }
  others.deliver();
  const frame = 's\n{"type":"typing","from":"ann"}';
  assert.deepEqual(heard, [`bob: ${frame}`, `eve: ${frame}`]);
  ann.close();
  bob.close();
});

test('K1: the server pings every socket once in 25 s, however many there are', async () => {
  mock.timers.enable({ apis: ['setInterval'] });
  const { url } = await fixture();
  const sockets = Array.from({ length: 60 }, () => new TestSocket(url));
  const pings = sockets.map(() => 0);
  for (const [i, { ws, opened }] of sockets.entries()) {
    ws.on('ping', () => {
      pings[i] = (pings[i] ?? 0) + 1;
    });
    await opened;
  }
  for (const round of [1, 2]) {
    for (let ms = 0; ms < LIMITS.heartbeatMs; ms += 100) mock.timers.tick(100);
    await waitFor(
      () => pings.every((count) => count >= round),
      5_000,
      () => pings.join(' '),
    );
    assert.deepEqual(new Set(pings), new Set([round]));
  }
  mock.timers.reset();
  for (const { ws } of sockets) ws.terminate();
});

test('A4: in AUTH=open an Authorization header is not looked at', async () => {
  const { url, beat } = await fixture();
  beat();
  const socket = new TestSocket(url, { headers: { Authorization: 'Bearer of news' } });
  await socket.opened;
  socket.send({ type: 'connect', user_id: 'ann', token: 5 });
  await socket.type('connected');
  socket.close();
});

test('G8: a gateway that stops takes no upgrade, answers what was sent, and tells each socket when to come back', async () => {
  const { gateway, bus, port, url, beat, tell } = await fixture();
  beat();
  const ann = await connect(url, 'ann', undefined);
  ann.send({ type: 'message', to: 'bob', message: 'hi', client_id: 'c1' });
  ann.send({ type: 'ping' });
  await ann.type('pong');
  const stopped = gateway.stop();
  const refuses = async (): Promise<boolean> => {
    const { opened, ws } = new TestSocket(url);
    const refused = await opened.then(
      () => false,
      () => true,
    );
    ws.terminate();
    return refused;
  };
  await waitFor(refuses, 5_000, () => 'upgrades are still taken');
  ann.send({ type: 'message', to: 'bob', message: 'late', client_id: 'c2' });
  const late = await ann.type('error');
  assert.deepEqual([late['code'], late['client_id']], ['shutting_down', 'c2']);
  assert.equal(ann.ws.readyState, ann.ws.OPEN, 'it waits for the answer');
  const { seq } = JSON.parse(bus.log.at(-1)?.payload ?? '');
  tell(
    CHANNELS.gateway('g1'),
    JSON.stringify({ seq, outcomes: [[0, { kind: 'refused', code: 'unknown_user' }]] }),
  );
  assert.equal((await ann.closed).code, CLOSE.restart.code);
  assert.deepEqual(
    ann.frames.slice(-2).map(({ type, code }) => [type, code]),
    [
      ['error', 'unknown_user'],
      ['closing', 'shutting_down'],
    ],
  );
  await stopped;
  assert.deepEqual(port.channels, [CHANNELS.beat]);
});

test('G8: a request that is under way when a gateway stops is answered first; a connection without one is ended', async () => {
  const { gateway, port, url } = await fixture({ lastAnswersMs: 0 });
  const { promise: answered, resolve } = Promise.withResolvers<void>();
  const { request } = port;
  port.request = (...args) => answered.then(() => request.apply(port, args));
  const under = fetch(`${url}/history?user_id=ann&with=bob`);
  const idle = new RawConnection(url);
  idle.send('GET /livez HTTP/1.1', 'Host: x', '', '');
  await waitFor(
    () => idle.said !== '',
    5_000,
    () => 'no answer',
  );
  let stops = true;
  const stopped = gateway.stop().then(() => {
    stops = false;
  });
  await idle.closed;
  await settle(20);
  assert.equal(stops, true, 'it waits');
  resolve();
  const { status, headers } = await under;
  assert.deepEqual([status, headers.get('connection')], [200, 'close']);
  await stopped;
});

test('G8, H12: a gateway that stops is not ready from then on, though its node says that all is well, as where one worker is ended by hand', async () => {
  const { gateway, url, beat } = await fixture({ noticeMs: 2_000 });
  beat();
  const ready = async (): Promise<number> => (await fetch(`${url}/readyz`)).status;
  gateway.nodeTrouble = 'crash loop: reader 1';
  assert.equal(await ready(), 503);
  gateway.nodeTrouble = undefined;
  assert.equal(await ready(), 200);
  const stopped = gateway.stop();
  gateway.nodeTrouble = undefined;
  assert.equal(await ready(), 503);
  // Until load balancers have seen that, they send it clients.
  (await connect(url, 'ann', undefined)).close();
  await stopped;
});

test('a refused upgrade, and what is no HTTP, count as refusals', async () => {
  const { url, gateway } = await fixture();
  const counted = async (code: string): Promise<number | undefined> =>
    (await gateway.metrics.refused.get()).values.find(({ labels }) => labels.code === code)?.value;
  await rawRequest(url, upgradeLines({}, 'GET /elsewhere HTTP/1.1'));
  await rawRequest(url, upgradeLines({ 'Sec-WebSocket-Protocol': 'chat' }));
  await rawRequest(url, upgradeLines({ 'Sec-WebSocket-Version': '7' }));
  await rawRequest(url, ['no HTTP', '', '']);
  assert.deepEqual(
    await Promise.all(['not_found', 'unsupported_subprotocol', 'invalid_request'].map(counted)),
    [1, 1, 2],
  );
});

test('L6, G10: connections beyond what its limit on open files allows are closed at once, and it says so; the others go on', async () => {
  const { gateway, url, clock, beat, warned } = await fixture({ connectionsMax: 2 });
  beat();
  const [ann, bob] = [await connect(url, 'ann', undefined), await connect(url, 'bob', undefined)];
  assert.deepEqual(gateway.failing, []);
  for (let i = 0; i < 2; i++) {
    const third = new TestSocket(url);
    await assert.rejects(third.opened);
  }
  assert.equal(warned.length, 1, 'not a line for each');
  assert.match(gateway.failing.join(), /it has 2 connections.*open files.*refuses others/);
  ann.send({ type: 'ping' });
  await ann.type('pong');
  bob.ws.close();
  await bob.closed;
  (await connect(url, 'bob', undefined)).send({ type: 'ping' });
  clock.advance(10_000);
  assert.doesNotMatch(gateway.failing.join(), /connections/);
});
