import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClientError, type ClientOptions, memoryStorage, systemClock } from '../../src/client/index.ts';
import type { Closing, ErrorNotice } from '../../src/client/wire.ts';
import { CLOSE } from '../../src/contract/errors.ts';
import { startClient } from '../support/fake-transport.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { connected, stored } from '../support/server-frames.ts';

function start(options: Partial<ClientOptions> = {}) {
  const { client, clock, transport } = startClient({ random: () => 0.5, ...options });
  const states: string[] = [];
  client.on('state', ({ name }) => states.push(name));
  return { client, clock, transport, states };
}

test('B3: the first frame of a socket is connect, with the token', () => {
  const { client, transport, states } = start();
  client.connect();
  transport.last.events.opened();
  assert.deepEqual(transport.last.take(), [{ type: 'connect', user_id: 'alice', token: 't1' }]);
  transport.last.says(connected());
  assert.deepEqual(states, ['connecting', 'greeting', 'online']);
});

test('R1: with a cursor the state is catching-up until the last page', () => {
  const { client, transport } = start({ cursor: { epoch: 'e1', since: 5 } });
  client.connect();
  transport.last.events.opened();
  assert.deepEqual(transport.last.take(), [
    { type: 'connect', user_id: 'alice', token: 't1', since: 5, epoch: 'e1' },
  ]);
  transport.last.says(connected({ head: 9 }));
  assert.equal(client.state.name, 'catching-up');
  transport.last.says({ type: 'page', messages: [stored(6)], upto: 6, more: true });
  transport.last.says({ type: 'typing', from: 'bob' });
  assert.equal(client.state.name, 'catching-up');
  transport.last.says({ type: 'page', messages: [], upto: 9, more: false });
  assert.equal(client.state.name, 'online');
});

test('K2: 20 s of silence bring a ping, 10 s without an answer the end of the socket', () => {
  const { client, clock, transport } = start();
  client.connect();
  const socket = transport.welcome();
  clock.advance(19_000);
  socket.says({ type: 'presence', online: [], offline: [] });
  clock.advance(19_999);
  assert.deepEqual(socket.take(), []);
  clock.advance(1);
  assert.deepEqual(socket.take(), [{ type: 'ping' }]);
  clock.advance(9_999);
  socket.says({ type: 'pong' });
  clock.advance(20_000);
  assert.deepEqual(socket.take(), [{ type: 'ping' }]);
  clock.advance(10_000);
  assert.equal(client.state.name, 'waiting');
  assert.ok(socket.closedByClient);
});

test('K2: a clock that is set back hides no dead connection', () => {
  const clock = new ManualClock();
  let setBackMs = 0;
  const { client, transport } = start({
    clock: { now: () => clock.now() - setBackMs, after: (ms, run) => clock.after(ms, run) },
  });
  client.connect();
  const socket = transport.welcome();
  clock.advance(5_000);
  socket.says({ type: 'pong' });
  setBackMs = 3_600_000;
  clock.advance(20_000);
  assert.deepEqual(socket.take(), [{ type: 'ping' }]);
  clock.advance(10_000);
  assert.equal(client.state.name, 'waiting');
});

test('a timer that is longer than setTimeout can wait does not run at once', async () => {
  let runs = 0;
  const cancel = systemClock.after(2 ** 31, () => runs++);
  await sleep(20);
  cancel();
  assert.equal(runs, 0);
});

test('a socket that does not open, or on which connect is not answered, is given up after 10 s', () => {
  const { client, clock, transport } = start();
  client.connect();
  clock.advance(10_000);
  assert.equal(client.state.name, 'waiting');
  clock.advance(500);
  transport.last.events.opened();
  clock.advance(10_000);
  assert.equal(client.state.name, 'waiting');
});

test('each failure doubles the ceiling of the back-off; a connection that lasted starts it anew', () => {
  const failing = (options: Partial<ClientOptions> = {}) => {
    const { client, clock, transport } = start(options);
    const delays: number[] = [];
    client.on('state', (state) => {
      if (state.name === 'waiting') delays.push(state.retryAt - clock.now());
    });
    client.connect();
    for (let i = 0; i < 7; i++) {
      transport.last.events.closed(1006, '');
      clock.advance(delays.at(-1)!);
    }
    return { clock, transport, delays };
  };
  const own = failing({ backoff: { baseMs: 100, capMs: 1_000 } });
  assert.deepEqual(own.delays, [50, 100, 200, 400, 500, 500, 500], 'as the caller wants it');
  const { clock, transport, delays } = failing();
  assert.deepEqual(delays.splice(0), [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
  transport.welcome().events.closed(1006, '');
  assert.deepEqual(delays.splice(0), [15_000], 'a server that takes and drops us at once has not recovered');
  clock.advance(15_000);
  const socket = transport.welcome();
  clock.advance(2_000);
  socket.events.closed(1006, '');
  assert.deepEqual(delays, [500]);
});

test('who disconnects begins the back-off anew, and a network that goes does not', () => {
  const { client, clock, transport } = start();
  const delays: number[] = [];
  client.on('state', (state) => {
    if (state.name === 'waiting') delays.push(state.retryAt - clock.now());
  });
  client.connect();
  transport.last.events.closed(1006, '');
  clock.advance(500);
  transport.network(false);
  client.disconnect();
  client.connect();
  transport.last.events.closed(1006, '');
  assert.deepEqual(delays, [500, 1_000, 500]);
});

test('a socket that opened late has 10 s from then to be answered', () => {
  const { client, clock, transport } = start();
  client.connect();
  clock.advance(9_000);
  transport.last.events.opened();
  clock.advance(9_999);
  assert.equal(client.state.name, 'greeting');
  clock.advance(1);
  assert.equal(client.state.name, 'waiting');
});

test('a socket that cannot even be made is told, and tried again', () => {
  const { client, clock, transport } = start();
  const problems: string[] = [];
  client.on('problem', ({ error, during }) => problems.push(`${during}: ${(error as Error).message}`));
  const open = transport.open.bind(transport);
  transport.open = () => {
    throw new Error('not allowed here');
  };
  const states: unknown[] = [];
  client.on('state', (state) => states.push(state.name === 'waiting' ? state.because.code : state.name));
  client.connect();
  clock.advance(0);
  assert.deepEqual(states, ['connecting', 'network']);
  assert.deepEqual(problems, ['the connection: not allowed here']);
  transport.open = open;
  clock.advance(500);
  transport.welcome();
  assert.equal(client.state.name, 'online');
});

test('why a connection was lost is what was said on it, not on the one before', () => {
  const { client, clock, transport } = start();
  const because: string[] = [];
  client.on('state', (state) => {
    if (state.name === 'waiting') because.push(`${state.because.code}: ${state.because.message}`);
  });
  client.connect();
  transport.last.events.opened();
  transport.last.says({ type: 'error', code: 'unavailable', error: 'not now', retryable: true });
  transport.last.events.closed(CLOSE.tryLater.code, 'try later');
  clock.advance(500);
  transport.last.events.closed(1001, 'proxy restarts');
  assert.deepEqual(because, ['unavailable: not now', 'connection_lost: proxy restarts']);
});

test('what is not JSON is told as a problem', () => {
  const { client, transport } = start();
  const problems: string[] = [];
  client.on('problem', ({ error, during }) => problems.push(`${during}: ${(error as Error).name}`));
  client.connect();
  transport.welcome().events.frame('{');
  assert.deepEqual(problems, ['the connection: SyntaxError']);
});

test('G4: a frame without the parts it should have ends the socket, and leaves no hole and no exception', () => {
  const { client, clock, transport } = start({ cursor: { epoch: 'e1', since: 5 } });
  const problems: string[] = [];
  client.on('problem', ({ during }) => problems.push(during));
  const frames = ['{"type":"connected"}', '{"type":"page"}', '{"type":"page","messages":[null],"upto":9}'];
  client.connect();
  for (const frame of frames) {
    if (frame === frames[0]) transport.last.events.opened();
    else transport.welcome({ head: 9 });
    transport.last.events.frame(frame);
    assert.equal(client.state.name, 'waiting');
    assert.ok(transport.last.closedByClient);
    clock.advance(30_000);
  }
  assert.deepEqual(problems, ['the connection', 'the connection', 'the connection']);
  assert.deepEqual(client.cursor, { epoch: 'e1', since: 5 });
});

test('A3: an HTTP answer that the session is over ends the socket, too', async () => {
  const { client, transport } = start();
  client.connect();
  const socket = transport.welcome();
  transport.fetch = async () => Response.json({ code: 'token_revoked' }, { status: 401 });
  await assert.rejects(client.conversations(), { code: 'token_revoked' });
  assert.equal(client.state.name === 'stopped' && client.state.because.code, 'token_revoked');
  assert.ok(socket.closedByClient);
});

test('K3: the notice says when to come back, and no frame goes out after it', () => {
  const { client, clock, transport } = start();
  client.connect();
  const socket = transport.welcome();
  socket.says({ type: 'closing', code: 'shutting_down', error: 'bye', reconnect_after_ms: 1_234 });
  void client.send('bob', 'hello');
  assert.deepEqual(socket.take(), []);
  socket.events.closed(CLOSE.restart.code, '');
  assert.deepEqual(
    client.state.name === 'waiting' && [client.state.retryAt - clock.now(), client.state.because.code],
    [1_234, 'shutting_down'],
  );
  clock.advance(1_234);
  assert.equal(client.state.name, 'connecting');
  assert.deepEqual(
    transport
      .welcome()
      .take()
      .map(({ type }) => type),
    ['message'],
  );
});

test('K3: a server that announces its end and then hangs is left after 5 s', () => {
  const { client, clock, transport } = start();
  client.connect();
  const socket = transport.welcome();
  socket.says({ type: 'closing', code: 'shutting_down', error: 'bye', reconnect_after_ms: 100 });
  clock.advance(4_000);
  socket.says(stored(1));
  clock.advance(1_000);
  assert.equal(client.state.name, 'waiting');
});

test('K3: a notice without a time means stop', () => {
  const { client, transport } = start();
  client.connect();
  const socket = transport.welcome();
  socket.says({ type: 'closing', code: 'forbidden', error: 'no', reconnect_after_ms: null });
  socket.events.closed(1006, '');
  assert.equal(client.state.name, 'stopped');
});

test('K4: reconnects after the retryable close codes, and after those of proxies, and no others', () => {
  const codes = [1001, 1005, 1006, 1011, ...Object.values(CLOSE).map(({ code }) => code)];
  const again = codes.filter((code) => {
    const { client, transport } = start();
    client.connect();
    transport.welcome().events.closed(code, '');
    assert.ok(client.state.name === 'waiting' || client.state.name === 'stopped');
    return client.state.name === 'waiting';
  });
  const retryable = Object.values(CLOSE).flatMap((close) => (close.retryable ? [close.code] : []));
  assert.deepEqual(again, [1001, 1005, 1006, 1011, ...retryable]);
});

test('A3: a refused token ends the session and says why; the outbox waits for the next login', () => {
  const { client, transport } = start();
  const ends: unknown[] = [];
  client.on('session', ({ session, because }) => ends.push([session, because?.code]));
  void client.send('bob', 'hello');
  client.connect();
  transport.last.events.opened();
  transport.last.says({ type: 'error', code: 'token_expired', error: 'expired', retryable: false });
  transport.last.events.closed(4401, '');
  assert.equal(client.state.name, 'stopped');
  assert.deepEqual(ends, [[null, 'token_expired']]);
  assert.equal(client.session, null);
  assert.equal(client.outbox.length, 1);
  assert.throws(() => client.connect(), { code: 'no_session' });
});

test('A3, A5: what the state, the session or a call tells is no problem event', async () => {
  const said = (code: ErrorNotice['code']): ErrorNotice => ({
    type: 'error',
    code,
    error: code,
    retryable: false,
  });
  const ending = (code: string): Closing => ({
    type: 'closing',
    code,
    error: code,
    reconnect_after_ms: null,
  });
  const problems: string[] = [];
  const connect = (name: string) => {
    const started = start();
    started.client.on('problem', ({ error }) => problems.push(`${name}: ${(error as ClientError).code}`));
    started.client.connect();
    return started;
  };
  const refused = connect('a refused greeting').transport.last;
  refused.events.opened();
  refused.says(said('forbidden'));
  refused.events.closed(4403, '');

  const expired = connect('an expiry').transport.welcome();
  expired.says(said('token_expired'), ending('token_expired'));
  expired.events.closed(4401, '');

  const { client, transport } = connect('a new password');
  const socket = transport.welcome();
  transport.fetch = async () => Response.json({ token: 't2' });
  const changing = client.changePassword('old', 'new');
  socket.says(said('token_revoked'), ending('token_revoked'));
  socket.events.closed(4401, '');
  await changing;
  assert.equal(client.state.name, 'connecting');
  assert.deepEqual(problems, []);

  connect('a refused signal').transport.welcome().says(said('invalid_frame'));
  assert.deepEqual(problems, ['a refused signal: invalid_frame']);
});

test('a network that goes ends the socket, and one that comes back ends the wait', () => {
  const { client, transport } = start();
  client.connect();
  const socket = transport.welcome();
  transport.network(false);
  assert.equal(client.state.name, 'waiting');
  assert.ok(socket.closedByClient);
  transport.network(true);
  assert.equal(client.state.name, 'connecting');
});

test('a network that comes back forgives the attempts that failed without it', () => {
  const { client, clock, transport, states } = start({ random: () => 0.999 });
  const retry = () => {
    const { state } = client;
    assert.ok(state.name === 'waiting');
    const wait = state.retryAt - clock.now();
    clock.advance(wait);
    return wait;
  };
  client.connect();
  for (let attempt = 0; attempt < 4; attempt++) {
    transport.last.events.closed(1006, '');
    retry();
  }
  assert.equal(states.at(-1), 'connecting');
  transport.network(true);
  transport.last.events.closed(1006, '');
  assert.ok(retry() <= 1_000);
});

test('what a dropped socket still says is not heard', () => {
  const { client, clock, transport } = start();
  const messages: number[] = [];
  client.on('message', ({ id }) => messages.push(id));
  client.connect();
  const old = transport.welcome();
  transport.network(false);
  transport.network(true);
  old.says(stored(1));
  old.events.closed(4401, '');
  assert.equal(client.state.name, 'connecting');
  const socket = transport.welcome();
  assert.ok(clock.timers > 0);
  client.disconnect();
  socket.says(stored(1));
  assert.deepEqual(messages, []);
});

test('online() follows the connection to where it ends', async () => {
  const { client, transport } = start();
  await assert.rejects(client.online(), { code: 'disconnected' });
  client.connect();
  const online = client.online();
  transport.welcome();
  await online;
  await client.online();
  transport.last.events.closed(1006, '');
  const again = client.online();
  client.disconnect();
  await assert.rejects(again, { code: 'disconnected' });
  client.connect();
  const last = client.online();
  client.close();
  await assert.rejects(last, { code: 'closed' });
});

test('online() rejects when the cursor was still being read and the caller, or the server, wants out', async () => {
  const storage = { ...memoryStorage(), getItem: () => new Promise<null>(() => {}) };
  const outcome = (online: Promise<void>) =>
    Promise.race([online.catch((error) => error.code), new Promise(setImmediate)]);
  const { client, transport } = start({ storage, cursorName: 'here' });
  client.connect();
  const first = client.online();
  client.disconnect();
  assert.equal(await outcome(first), 'disconnected');

  client.connect();
  const second = client.online();
  client.close();
  assert.equal(await outcome(second), 'closed');

  const other = start({ storage, cursorName: 'here' });
  const over = { code: 'token_revoked' };
  other.transport.fetch = async () => Response.json(over, { status: 401 });
  other.client.connect();
  const third = other.client.online();
  await assert.rejects(other.client.conversations(), over);
  assert.equal(await outcome(third), 'token_revoked');
  assert.deepEqual([...transport.sockets, ...other.transport.sockets], []);
});

test('online() is not about the attempt before: neither while the cursor is read, nor by its late events', async () => {
  const reads: (() => void)[] = [];
  const getItem = () => new Promise<null>((resolve) => reads.push(() => resolve(null)));
  const { client, clock, transport } = start({
    storage: { ...memoryStorage(), getItem },
    cursorName: 'here',
  });
  const read = () => {
    reads.shift()?.();
    return new Promise(setImmediate);
  };
  client.connect();
  await read();
  transport.last.events.closed(4403, '');
  client.connect();
  const afterRefusal = client.online();
  await read();
  transport.last.events.closed(1006, '');
  // "Try now", while the timer of the back-off does the same, and is refused.
  client.connect();
  const meanwhile = client.online();
  clock.advance(500);
  transport.last.events.closed(4403, '');
  assert.equal(client.state.name, 'stopped');
  await read();
  transport.welcome();
  await Promise.all([afterRefusal, meanwhile]);

  const inListener = new Promise((resolve) => {
    client.on('message', () => {
      client.disconnect();
      client.connect();
      resolve(client.online());
    });
  });
  transport.last.says(stored(1));
  transport.welcome({ head: 1 }).says({ type: 'page', messages: [], upto: 1, more: false });
  await inListener;
});

for (const name of ['connecting', 'greeting', 'catching-up', 'online']) {
  test(`close() in a listener of the state ${name} leaves no timer and no socket behind`, () => {
    const { client, clock, transport } = start({ cursor: { epoch: 'e1', since: 0 } });
    client.on('state', (state) => {
      if (state.name === name) client.close();
    });
    client.connect();
    transport.welcome().says({ type: 'page', messages: [], upto: 0, more: false });
    assert.equal(client.state.name, 'idle');
    assert.equal(clock.timers, 0);
    assert.ok(transport.last.closedByClient);
  });
}

for (const [act, last] of [
  ['disconnect', 'idle'],
  ['connect', 'connecting'],
] as const) {
  test(`${act}() in a listener that is told of a lost send: the last state that is told is the one that holds`, () => {
    const { client, transport } = startClient();
    client.connect();
    const socket = transport.welcome();
    void client.send('bob', 'hi');
    const told: string[] = [];
    client.on('state', ({ name }) => told.push(name));
    client.on('outbox', ({ entry }) => {
      if (entry.status === 'queued') client[act]();
    });
    socket.events.closed(1006, '');
    assert.equal(client.state.name, last);
    assert.deepEqual(told, [last]);
    client.close();
  });
}

test('close() in a listener that is told of an entry of another tab leaves no timer behind', () => {
  const storage = memoryStorage();
  const { client, clock, transport } = start({ storage });
  client.on('outbox', () => client.close());
  client.connect();
  void start({ storage }).client.send('bob', 'hello');
  transport.welcome();
  assert.equal(client.state.name, 'idle');
  assert.equal(clock.timers, 0);
});

test('close() leaves no timer, no socket and no promise behind', async () => {
  const { client, clock, transport } = start();
  client.connect();
  const socket = transport.welcome();
  const sending = client.send('bob', 'hello');
  client.typing('bob');
  socket.says(
    { type: 'typing', from: 'bob' },
    { type: 'error', code: 'rate_limited', error: 'slow down', retryable: true },
  );
  client.close();
  await assert.rejects(sending, { code: 'closed' });
  assert.equal(clock.timers, 0);
  assert.ok(socket.closedByClient);
  await assert.rejects(client.send('bob', 'x'), { code: 'closed' });
  assert.throws(() => client.connect(), { code: 'closed' });
});
