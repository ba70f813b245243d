import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ClientOptions, type KeyValueStorage, memoryStorage } from '../../src/client/index.ts';
import type { ErrorNotice } from '../../src/client/wire.ts';
import { type FakeSocket, startClient } from '../support/fake-transport.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { stored } from '../support/server-frames.ts';

function start(options: Partial<ClientOptions> = {}) {
  const { client, clock, transport } = startClient({ random: () => 0.5, ...options });
  const online = (frame = {}): FakeSocket => {
    client.connect();
    return transport.welcome(frame);
  };
  const reconnect = (): FakeSocket => {
    transport.last.events.closed(1006, '');
    clock.advance(30_000);
    return transport.welcome();
  };
  return { client, clock, transport, online, reconnect };
}

/** The `message` frames among what was sent. */
const sends = (socket: FakeSocket) =>
  socket.take().flatMap((frame) => (frame.type === 'message' ? [[frame.client_id, frame.message]] : []));

const echo = (id: number, client_id: string, message = 'hi') =>
  stored(id, { from: 'alice', to: 'bob', message, client_id });

const refusal = (code: ErrorNotice['code'], retryable: boolean, client_id?: string): ErrorNotice => ({
  type: 'error',
  code,
  error: code,
  retryable,
  client_id,
});

const tick = () => new Promise(setImmediate);

/** An asynchronous storage. What is asked of it while it is held waits for the release. */
function slowStorage(entries: Map<string, string>) {
  const memory = memoryStorage(entries);
  const gates = { getItem: Promise.resolve(), removeItem: Promise.resolve() };
  const storage: KeyValueStorage = {
    getItem: async (key) => {
      const value = memory.getItem(key);
      await gates.getItem;
      return value;
    },
    setItem: async (key, value) => memory.setItem(key, value),
    removeItem: async (key) => {
      await gates.removeItem;
      memory.removeItem(key);
    },
    keys: async (prefix) => memory.keys(prefix),
  };
  const hold = (what: keyof typeof gates): (() => void) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    gates[what] = promise;
    return resolve;
  };
  return { storage, hold };
}

const PREFIX = 'parley:chat.test/:alice:outbox:';
const HI = JSON.stringify({ to: 'bob', message: 'hi', at: 1 });

test('M1: a send resolves with the echo, which is delivered too', async () => {
  const { client, online } = start();
  const socket = online();
  const delivered: number[] = [];
  client.on('message', ({ id }) => delivered.push(id));
  const sending = client.send('bob', 'hi', { clientId: 'c1' });
  assert.deepEqual(socket.take(), [{ type: 'message', to: 'bob', message: 'hi', client_id: 'c1' }]);
  assert.deepEqual(
    client.outbox.map(({ status }) => status),
    ['sent'],
  );
  socket.says(echo(1, 'c1'));
  assert.equal((await sending).id, 1);
  assert.deepEqual(delivered, [1]);
  assert.deepEqual(client.outbox, []);
});

test('a send resolves with what was stored, though a listener changes the message for its own use', async () => {
  const { client, online } = start();
  const socket = online();
  client.on('message', (message) => {
    message.message = message.message.replaceAll('<', '&lt;');
    message.from = 'me';
  });
  const sending = client.send('bob', 'a < b', { clientId: 'c1' });
  socket.says(echo(1, 'c1', 'a < b'));
  assert.deepEqual(client.outbox, []);
  assert.deepEqual(await sending, echo(1, 'c1', 'a < b'));
});

test('the outbox is the same array until an event tells of a change, as React wants it', async () => {
  const { client, transport, online } = start();
  transport.fetch = async () => Response.json({ message: 'Logged out.' });
  let shown = client.outbox;
  let events = 0;
  client.on('outbox', ({ kind }) => {
    events++;
    assert.notEqual(client.outbox, shown, kind);
    shown = client.outbox;
  });
  online();
  const steps = [
    () => void client.send('bob', 'hi', { clientId: 'c1' }),
    () => transport.last.events.closed(1006, ''),
    () => online().says(refusal('unknown_user', false, 'c1')),
    () => client.discard('c1'),
    () => void client.send('bob', 'hi', { clientId: 'c2' }),
    () => transport.last.says(echo(1, 'c2')),
    () => void client.send('bob', 'hi', { clientId: 'c3' }),
    () => void client.logout(),
  ];
  for (const step of steps) {
    const before = events;
    step();
    assert.ok(events > before);
    assert.equal(client.outbox, shown);
    assert.equal(client.outbox, client.outbox);
  }
});

test("another user's client_id settles nothing of one's own", () => {
  const { client, online } = start();
  const socket = online();
  void client.send('bob', 'hi', { clientId: 'c1' });
  socket.says(stored(1, { from: 'bob', client_id: 'c1' }));
  assert.equal(client.outbox.length, 1);
});

test('sends made offline go out in order once there is a connection', () => {
  const { client, online } = start();
  for (const n of [1, 2, 3]) void client.send('bob', `m${n}`, { clientId: `c${n}` });
  assert.deepEqual(
    client.outbox.map(({ status }) => status),
    ['queued', 'queued', 'queued'],
  );
  assert.deepEqual(sends(online()), [
    ['c1', 'm1'],
    ['c2', 'm2'],
    ['c3', 'm3'],
  ]);
});

test('M7: a clientId that was discarded and is sent again goes where it is now, not where it was', () => {
  const { client, online } = start();
  for (const n of [1, 2, 3]) void client.send('bob', `m${n}`, { clientId: `c${n}` });
  client.discard('c2');
  void client.send('bob', 'm2', { clientId: 'c2' });
  assert.deepEqual(
    sends(online()).map(([id]) => id),
    ['c1', 'c3', 'c2'],
  );
});

test('G2: what a lost socket had not answered is sent again, in order, with the same client_id', async () => {
  const { client, online, reconnect } = start();
  const first = online();
  const sending = [1, 2, 3].map((n) => client.send('bob', `m${n}`, { clientId: `c${n}` }));
  first.says(echo(1, 'c1', 'm1'));
  const second = reconnect();
  assert.deepEqual(sends(second), [
    ['c2', 'm2'],
    ['c3', 'm3'],
  ]);
  const settled: number[] = [];
  client.on('outbox', (change) => change.kind === 'settled' && settled.push(change.message.id));
  second.says({ type: 'page', messages: [echo(2, 'c2', 'm2')], upto: 2, more: false });
  second.says({ ...echo(2, 'c2', 'm2'), repeat: true }, { ...echo(3, 'c3', 'm3'), repeat: true });
  assert.deepEqual(
    (await Promise.all(sending)).map(({ id }) => id),
    [1, 2, 3],
  );
  assert.deepEqual(settled, [2, 3]);
});

test('M5: a refusal for now is retried after a pause, and nothing overtakes it meanwhile', async () => {
  const { client, clock, online } = start();
  const socket = online();
  const sending = client.send('bob', 'm1', { clientId: 'c1' });
  void client.send('bob', 'm2', { clientId: 'c2' });
  sends(socket);
  socket.says(refusal('unavailable', true, 'c1'), refusal('unavailable', true, 'c2'));
  void client.send('bob', 'm3', { clientId: 'c3' });
  assert.deepEqual(sends(socket), []);
  clock.advance(249);
  assert.deepEqual(sends(socket), []);
  clock.advance(1);
  assert.deepEqual(
    sends(socket).map(([id]) => id),
    ['c1', 'c2', 'c3'],
  );
  socket.says(refusal('overloaded', true, 'c1'));
  clock.advance(499);
  assert.deepEqual(sends(socket), []);
  clock.advance(1);
  assert.deepEqual(
    sends(socket).map(([id]) => id),
    ['c1'],
  );
  socket.says(echo(9, 'c1', 'm1'));
  assert.equal((await sending).id, 9);
});

test('L5: a refusal for now without a client_id may have been about any send: all are repeated', () => {
  const { client, clock, online } = start();
  const socket = online();
  void client.send('bob', 'm1', { clientId: 'c1' });
  void client.send('bob', 'm2', { clientId: 'c2' });
  sends(socket);
  socket.says(refusal('rate_limited', true));
  clock.advance(250);
  assert.deepEqual(
    sends(socket).map(([id]) => id),
    ['c1', 'c2'],
  );
});

test('M5: a refusal for good rejects, and the entry stays until it is retried or discarded', async () => {
  const { client, online } = start();
  const socket = online();
  const told: string[] = [];
  client.on('outbox', ({ kind, entry }) => told.push(`${kind} ${entry.client_id} ${entry.status}`));
  const sending = client.send('nobody', 'hi', { clientId: 'c1' });
  sends(socket);
  socket.says(refusal('unknown_user', false, 'c1'));
  await assert.rejects(sending, { name: 'ClientError', code: 'unknown_user', retryable: false });
  const [entry] = client.outbox;
  assert.deepEqual(entry?.status === 'failed' && [entry.code, entry.error], ['unknown_user', 'unknown_user']);

  const again = client.retry('c1');
  assert.deepEqual(sends(socket), [['c1', 'hi']]);
  socket.says(stored(4, { from: 'alice', to: 'nobody', message: 'hi', client_id: 'c1' }));
  assert.equal((await again).id, 4);
  assert.deepEqual(told, [
    'added c1 queued',
    'updated c1 sent',
    'updated c1 failed',
    'updated c1 queued',
    'updated c1 sent',
    'settled c1 sent',
  ]);

  const conflicting = client.send('bob', 'other', { clientId: 'c1' });
  socket.says(refusal('client_id_conflict', false, 'c1'));
  await assert.rejects(conflicting, { code: 'client_id_conflict' });
  sends(socket);
  void client.retry('c1');
  const [anew] = sends(socket);
  assert.notEqual(anew?.[0], 'c1');
  assert.deepEqual(
    client.outbox.map(({ client_id }) => client_id),
    [anew?.[0]],
    'what failed is not left to be retried twice',
  );
  for (const { client_id } of client.outbox) client.discard(client_id);
  assert.deepEqual(client.outbox, []);
});

for (const act of ['discard', 'retry', 'logout'] as const) {
  test(`${act}() in a listener that is told of a refusal for good is what the storage keeps`, async () => {
    const entries = new Map<string, string>();
    const { client, transport, online } = start({ storage: memoryStorage(entries) });
    transport.fetch = async () => Response.json({ message: 'Logged out.' });
    const socket = online();
    client.on('outbox', ({ entry }) => {
      if (entry.status === 'failed') void (act === 'logout' ? client.logout() : client[act](entry.client_id));
    });
    void client.send('nobody', 'hi', { clientId: 'c1' });
    socket.says(refusal('unknown_user', false, 'c1'));
    await tick();
    const kept = [...entries.values()].map((value) => 'failed' in JSON.parse(value));
    assert.deepEqual(kept, act === 'retry' ? [false] : []);
  });
}

for (const act of ['discard', 'logout'] as const) {
  test(`${act}() in a listener that is told of a lost send is the last that is told of the entries`, async () => {
    const { client, transport, online } = start();
    transport.fetch = async () => Response.json({ message: 'Logged out.' });
    online();
    void client.send('bob', 'hi', { clientId: 'c1' });
    void client.send('bob', 'hi', { clientId: 'c2' });
    const last = new Map<string, string>();
    let once = true;
    client.on('outbox', ({ kind, entry }) => {
      last.set(entry.client_id, kind);
      if (!once) return;
      once = false;
      if (act === 'logout') void client.logout();
      else for (const { client_id } of client.outbox) client.discard(client_id);
    });
    transport.last.events.closed(1006, '');
    await tick();
    assert.deepEqual(Object.fromEntries(last), { c1: 'removed', c2: 'removed' });
    assert.deepEqual(client.outbox, []);
  });
}

test('L5: no more sends are unanswered than the server allows', () => {
  const { client, online } = start();
  const socket = online({ limits: { message_units: 8_000, frame_bytes: 65_536, unanswered: 2 } });
  for (const n of [1, 2, 3, 4]) void client.send('bob', 'hi', { clientId: `c${n}` });
  assert.deepEqual(
    sends(socket).map(([id]) => id),
    ['c1', 'c2'],
  );
  socket.says(echo(1, 'c1'));
  assert.deepEqual(
    sends(socket).map(([id]) => id),
    ['c3'],
  );
  socket.says(refusal('unknown_user', false, 'c2'));
  assert.deepEqual(
    sends(socket).map(([id]) => id),
    ['c4'],
  );
});

test('G6: the outbox has a bound, and says so', async () => {
  const { client, online } = start({ outboxLimit: 2 });
  void client.send('nobody', 'hi', { clientId: 'c1' });
  void client.send('bob', 'hi', { clientId: 'c2' });
  await assert.rejects(client.send('bob', 'hi'), { code: 'outbox_full', retryable: true });
  const ids = (): string[] => client.outbox.map(({ client_id }) => client_id);
  assert.deepEqual(ids(), ['c1', 'c2']);
  const socket = online();
  sends(socket);
  socket.says(refusal('unknown_user', false, 'c1'));
  void client.retry('c1');
  assert.deepEqual(sends(socket), [['c1', 'hi']], 'what is in it already needs no room');
  assert.deepEqual(ids(), ['c2', 'c1'], 'and goes to the end');
});

test('G6: unless told otherwise, 1,000 messages may wait to be sent', async () => {
  const { client } = start();
  for (let n = 0; n < 1_000; n++) void client.send('bob', 'hi');
  assert.equal(client.outbox.length, 1_000);
  await assert.rejects(client.send('bob', 'hi'), { code: 'outbox_full' });
});

test('what the server would refuse anyway is refused at once', async () => {
  const { client } = start();
  await assert.rejects(client.send('bob', ''), { code: 'invalid_message' });
  await assert.rejects(client.send('bob', 'x'.repeat(8_001)), { code: 'invalid_message' });
  await assert.rejects(client.send('bob', '\ud800'), { code: 'invalid_message' });
  await assert.rejects(client.send('', 'x'), { code: 'unknown_user' });
  await assert.rejects(client.send('bob', 'x', { clientId: 'a b' }), { code: 'invalid_frame' });
  // From JavaScript anything may come.
  const send = client.send.bind(client) as (...args: unknown[]) => Promise<unknown>;
  await assert.rejects(send('bob', 5), { code: 'invalid_message' });
  await assert.rejects(send(5, 'x'), { code: 'unknown_user' });
  await assert.rejects(send('bob', 'x', { clientId: 5 }), { code: 'invalid_frame' });
  assert.deepEqual(client.outbox, []);
});

test('M3: what another device has sent under the same clientId settles nothing of this one', async () => {
  const { client, online } = start();
  const kinds: string[] = [];
  client.on('outbox', ({ kind }) => kinds.push(kind));
  const sending = client.send('bob', 'mine', { clientId: 'c1' });
  const elsewhere = client.send('carol', 'hi', { clientId: 'c2' });
  const socket = online();
  socket.says(echo(1, 'c1', 'of the other device'), echo(2, 'c2'));
  socket.says(refusal('client_id_conflict', false, 'c1'), refusal('client_id_conflict', false, 'c2'));
  await assert.rejects(sending, { code: 'client_id_conflict' });
  await assert.rejects(elsewhere, { code: 'client_id_conflict' });
  assert.ok(!kinds.includes('settled'));
  assert.deepEqual(
    client.outbox.map(({ message, status }) => [message, status]),
    [
      ['mine', 'failed'],
      ['hi', 'failed'],
    ],
  );
});

test('G2: retry() of an entry that is on its way sends nothing more, and settles with it', async () => {
  const { client, online } = start();
  const socket = online();
  const sending = client.send('bob', 'hi', { clientId: 'c1' });
  const again = client.retry('c1');
  assert.deepEqual(sends(socket), [['c1', 'hi']]);
  socket.says(echo(1, 'c1'));
  assert.deepEqual([(await sending).id, (await again).id], [1, 1]);
  await assert.rejects(client.retry('c1'), { code: 'not_found' });
});

test('one clientId is one message, however often it is sent', async () => {
  const { client, online } = start();
  const socket = online();
  const both = Promise.all([1, 2].map(() => client.send('bob', 'hi', { clientId: 'c1' })));
  await assert.rejects(client.send('bob', 'other', { clientId: 'c1' }), { code: 'client_id_conflict' });
  await assert.rejects(client.send('carol', 'hi', { clientId: 'c1' }), { code: 'client_id_conflict' });
  assert.equal(sends(socket).length, 1);
  socket.says(echo(1, 'c1'));
  assert.deepEqual(
    (await both).map(({ id }) => id),
    [1, 1],
  );
});

for (const kind of ['synchronous', 'asynchronous'] as const) {
  test(`a reload with a ${kind} storage loses nothing and keeps the order`, async () => {
    const entries = new Map<string, string>();
    const storage = kind === 'synchronous' ? memoryStorage(entries) : slowStorage(entries).storage;
    const before = start({ storage });
    const socket = before.online();
    for (const n of [3, 1, 2]) void before.client.send('bob', `m${n}`, { clientId: `c${n}` });
    socket.says(refusal('unknown_user', false, 'c1'));
    await tick();
    assert.equal(entries.size, 3);
    before.client.close();

    const after = start({ storage });
    void after.client.send('bob', 'new', { clientId: 'c0' });
    await tick();
    assert.deepEqual(
      after.client.outbox.map(({ client_id, status }) => [client_id, status]),
      [
        ['c3', 'queued'],
        ['c1', 'failed'],
        ['c2', 'queued'],
        ['c0', 'queued'],
      ],
    );
    const next = after.online();
    assert.deepEqual(
      sends(next).map(([id]) => id),
      ['c3', 'c2', 'c0'],
    );
    next.says({ ...echo(1, 'c3', 'm3'), repeat: true }, echo(2, 'c2', 'm2'), echo(3, 'c0', 'new'));
    after.client.discard('c1');
    await tick();
    assert.equal(entries.size, 0);
  });
}

for (const end of ['discarded', 'settled'] as const) {
  test(`G2: an entry that was ${end} is not taken over again while a slow storage still has it`, async () => {
    const entries = new Map<string, string>();
    const { storage, hold } = slowStorage(entries);
    const { client, online, reconnect } = start({ storage });
    const socket = online();
    void client.send('bob', 'hi', { clientId: 'c1' });
    await tick();
    hold('removeItem');
    if (end === 'discarded') client.discard('c1');
    else socket.says(echo(1, 'c1'));
    const next = reconnect();
    await tick();
    assert.equal(entries.size, 1);
    assert.deepEqual(sends(next), []);
    assert.deepEqual(client.outbox, []);
  });
}

for (const kind of ['synchronous', 'asynchronous'] as const) {
  test(`what was discarded is not sent though a ${kind} storage could not forget it, and is forgotten later`, async () => {
    const entries = new Map<string, string>();
    let fails = true;
    const { removeItem, ...memory } = memoryStorage(entries);
    const remove = (key: string) => {
      if (fails) throw new Error('busy');
      return removeItem(key);
    };
    const storage = {
      ...memory,
      removeItem: kind === 'synchronous' ? remove : async (key: string) => remove(key),
    };
    const { client, online, reconnect } = start({ storage });
    const problems: string[] = [];
    client.on('problem', ({ during }) => problems.push(during));
    void client.send('bob', 'hi', { clientId: 'c1' });
    await tick();
    client.discard('c1');
    await tick();
    assert.deepEqual(problems, ['the storage']);
    assert.deepEqual(sends(online()), []);
    await tick();
    assert.deepEqual(problems, ['the storage', 'the storage']);
    fails = false;
    assert.deepEqual(sends(reconnect()), []);
    await tick();
    assert.equal(entries.size, 0);
    assert.equal(problems.length, 2);
    // The id is free again.
    void client.send('bob', 'hi', { clientId: 'c1' });
    await tick();
    assert.deepEqual([...entries.keys()], [`${PREFIX}c1`]);
  });
}

test('G2: an entry that settles while it is read once more is not taken over again', async () => {
  const entries = new Map<string, string>();
  const { storage, hold } = slowStorage(entries);
  const { client, online, reconnect } = start({ storage });
  await tick();
  entries.set(`${PREFIX}c1`, HI);
  const first = hold('getItem');
  online();
  await tick();
  const second = hold('getItem');
  const socket = reconnect();
  await tick();
  first();
  await tick();
  assert.deepEqual(sends(socket), [['c1', 'hi']]);
  socket.says(echo(1, 'c1'));
  await tick();
  second();
  await tick();
  assert.equal(entries.size, 0);
  assert.deepEqual(sends(socket), []);
  assert.deepEqual(client.outbox, []);
});

test('what a slow storage has still to forget after a logout is not sent after the next login', async () => {
  const entries = new Map<string, string>();
  const { storage, hold } = slowStorage(entries);
  const { client, transport, online } = start({ storage, session: { user_id: 'alice' } });
  transport.fetch = async () => Response.json({ token: 't2' });
  void client.send('bob', 'secret', { clientId: 'c1' });
  await tick();
  entries.set(`${PREFIX}c2`, HI);
  const release = hold('removeItem');
  const done: string[] = [];
  void client.logout().then(() => done.push('logout'));
  const login = client.login('alice', 'pw').then(() => done.push('login'));
  await tick();
  assert.deepEqual(done, []);
  release();
  await login;
  assert.deepEqual(done, ['logout', 'login']);
  void client.send('bob', 'after', { clientId: 'c3' });
  await tick();
  assert.deepEqual(sends(online()), [['c3', 'after']]);
  assert.deepEqual([...entries.keys()], [`${PREFIX}c3`]);
});

for (const end of ['close', 'logout', 'discard'] as const) {
  test(`what was sent while a slow storage was read ends by ${end}() in a listener that is told what it holds`, async () => {
    const entries = new Map([[`${PREFIX}c1`, JSON.stringify({ to: 'bob', message: 'hi', at: 2 ** 50 })]]);
    const { storage } = slowStorage(entries);
    const { client } = start({ storage, session: { user_id: 'alice' } });
    const ended = assert.rejects(client.send('bob', 'early', { clientId: 'c2' }), {
      code: { close: 'closed', logout: 'logged_out', discard: 'discarded' }[end],
    });
    const ends = {
      close: () => client.close(),
      logout: () => client.logout(),
      discard: () => client.discard('c2'),
    };
    client.on('outbox', ({ entry }) => entry.client_id === 'c1' && ends[end]());
    await ended;
    await tick();
    assert.deepEqual(
      [...entries.keys()],
      { close: [`${PREFIX}c1`, `${PREFIX}c2`], logout: [], discard: [`${PREFIX}c1`] }[end],
    );
  });
}

test('the last event of a slow start tells an outbox in the order of sending', async () => {
  const { storage } = slowStorage(new Map([[`${PREFIX}old`, HI]]));
  const { client, online } = start({ storage });
  let told: string[] = [];
  client.on('outbox', ({ kind }) => {
    if (kind === 'updated') void client.send('bob', 'hi', { clientId: 'c3' });
    told = client.outbox.map(({ client_id }) => client_id);
  });
  for (const clientId of ['c1', 'c2']) void client.send('bob', 'hi', { clientId });
  await tick();
  assert.deepEqual(told, ['old', 'c1', 'c2', 'c3']);
  assert.deepEqual(
    sends(online()).map(([id]) => id),
    ['old', 'c1', 'c2', 'c3'],
  );
});

test('what is sent while a slow storage is read stays behind what it holds, though the clock was set back', async () => {
  const entries = new Map([[`${PREFIX}c1`, JSON.stringify({ to: 'bob', message: 'first', at: 3_600_000 })]]);
  const { client } = start({ storage: slowStorage(entries).storage, clock: new ManualClock(0) });
  for (const message of ['second', 'third']) void client.send('bob', message);
  await tick();
  client.close();
  assert.deepEqual(
    start({ storage: memoryStorage(entries) }).client.outbox.map(({ message }) => message),
    ['first', 'second', 'third'],
  );
});

test('G2: who sends an entry of an earlier page again, or retries it, hears of that one', async () => {
  const { client, online } = start({ storage: memoryStorage(new Map([[`${PREFIX}c1`, HI]])) });
  const asked = [client.send('bob', 'hi', { clientId: 'c1' }), client.retry('c1')];
  const socket = online();
  assert.deepEqual(sends(socket), [['c1', 'hi']]);
  socket.says(echo(7, 'c1'));
  assert.deepEqual(
    (await Promise.all(asked)).map(({ id }) => id),
    [7, 7],
  );
});

test('M7: nothing goes out before a slow storage has told what is to go before it', async () => {
  const { storage, hold } = slowStorage(new Map([[`${PREFIX}c1`, HI]]));
  const release = hold('getItem');
  const { client, online } = start({ storage });
  const socket = online();
  void client.send('bob', 'new', { clientId: 'c2' });
  await tick();
  assert.deepEqual(sends(socket), []);
  release();
  await tick();
  assert.deepEqual(sends(socket), [
    ['c1', 'hi'],
    ['c2', 'new'],
  ]);
});

test('a reload after the clock was set back keeps the order', () => {
  const storage = memoryStorage();
  const entries: [message: string, now: number][] = [
    ['first', 3_600_000],
    ['second', 0],
  ];
  for (const [message, now] of entries) {
    const { client } = start({ storage, clock: new ManualClock(now) });
    void client.send('bob', message);
    client.close();
  }
  assert.deepEqual(
    start({ storage }).client.outbox.map(({ message }) => message),
    ['first', 'second'],
  );
});

test('tabs: an entry from before the clock was set back is taken over, too', () => {
  const storage = memoryStorage();
  const stays = start({ storage, clock: new ManualClock(0) });
  void start({ storage, clock: new ManualClock(3_600_000) }).client.send('bob', 'hi', { clientId: 'c1' });
  assert.deepEqual(sends(stays.online()), [['c1', 'hi']]);
});

test('tabs: each takes over what it finds, and none undoes what another does', async () => {
  const entries = new Map<string, string>();
  const storage = memoryStorage(entries);
  const one = start({ storage });
  void one.client.send('bob', 'from one', { clientId: 'c1' });
  const two = start({ storage });
  void two.client.send('bob', 'from two', { clientId: 'c2' });
  assert.deepEqual(
    two.client.outbox.map(({ client_id }) => client_id),
    ['c1', 'c2'],
  );
  // Tab one is closed before it had a connection. Tab two brings its message home, and keeps its own.
  one.client.close();
  const socket = two.online();
  assert.deepEqual(
    sends(socket).map(([id]) => id),
    ['c1', 'c2'],
  );
  socket.says(echo(1, 'c1', 'from one'));
  assert.equal(entries.size, 1);
  // A third takes over while the second still sends: the same client_id makes that harmless.
  const three = start({ storage });
  assert.deepEqual(
    sends(three.online()).map(([id]) => id),
    ['c2'],
  );
  socket.says(echo(2, 'c2', 'from two'));
  three.transport.last.says(echo(2, 'c2', 'from two'), { ...echo(2, 'c2', 'from two'), repeat: true });
  assert.equal(entries.size, 0);
  assert.deepEqual([...two.client.outbox, ...three.client.outbox], []);
});

test('tabs: one that stays online finds the messages of one that went away', () => {
  const storage = memoryStorage();
  const stays = start({ storage });
  const socket = stays.online();
  const goes = start({ storage });
  void goes.client.send('bob', 'wait for me', { clientId: 'c1' });
  goes.client.close();
  const pong = () => socket.says({ type: 'pong' });
  for (let s = 0; s < 130; s += 10) {
    stays.clock.advance(10_000);
    pong();
  }
  assert.deepEqual(sends(socket), [['c1', 'wait for me']]);
});

for (const kind of ['throws', 'rejects'] as const) {
  test(`an entry that ${kind} when it is read keeps no other from being sent, and is sent when it can be read`, async () => {
    const entries = new Map<string, string>();
    const before = start({ storage: memoryStorage(entries) });
    for (const clientId of ['c1', 'c2', 'c3', 'c4']) void before.client.send('bob', 'hi', { clientId });
    before.client.close();
    let broken = true;
    const storage: KeyValueStorage = {
      ...memoryStorage(entries),
      getItem: async (key) => {
        if (broken && /c[34]$/.test(key)) throw new Error('unreadable');
        return entries.get(key);
      },
    };
    const { getItem } = storage;
    const throws = (key: string) => {
      if (broken && key.endsWith('c2')) throw new Error('unreadable');
      return getItem(key);
    };
    const { client, online, reconnect } = start({
      storage: kind === 'throws' ? { ...storage, getItem: throws } : storage,
    });
    const problems: string[] = [];
    client.on('problem', ({ during }) => problems.push(during));
    await tick();
    const readable = kind === 'throws' ? ['c1'] : ['c1', 'c2'];
    assert.deepEqual(
      sends(online()),
      readable.map((clientId) => [clientId, 'hi']),
    );
    await tick();
    assert.ok(problems.length > 0 && problems.every((during) => during === 'the storage'));
    broken = false;
    const socket = reconnect();
    await tick();
    assert.deepEqual(sends(socket).length, 4);
    client.close();
  });
}

test('a storage that fails costs the survival of a reload, not the sending', async () => {
  const full = () => {
    throw new Error('quota');
  };
  const { client, online } = start({ storage: { ...memoryStorage(), setItem: full } });
  const problems: string[] = [];
  client.on('problem', ({ during, error }) => problems.push(`${during}: ${(error as Error).message}`));
  const sending = client.send('bob', 'hi', { clientId: 'c1' });
  const socket = online();
  assert.equal(sends(socket).length, 1);
  socket.says(echo(1, 'c1'));
  assert.equal((await sending).id, 1);
  assert.deepEqual(problems, ['the storage: quota']);
});

test('two servers, or applications, of one origin have each their part of its storage', () => {
  const entries = new Map<string, string>();
  const storage = memoryStorage(entries);
  const places: Partial<ClientOptions>[] = [{}, { url: 'http://other.test' }, { storagePrefix: 'mine' }];
  for (const [i, place] of places.entries())
    void start({ storage, ...place }).client.send('bob', 'hi', { clientId: `c${i}` });
  for (const [i, place] of places.entries()) {
    const { outbox } = start({ storage, ...place }).client;
    assert.deepEqual(
      outbox.map(({ client_id }) => client_id),
      [`c${i}`],
    );
  }
  assert.ok([...entries.keys()].some((key) => key.startsWith('mine:')));
});

test('G9: of a storage that lists all its keys, those of others are left alone', () => {
  const entries = new Map([['parley:chat.test/:carol:outbox:c1', HI]]);
  const storage: KeyValueStorage = { ...memoryStorage(entries), keys: () => [...entries.keys()] };
  const { client, online } = start({ storage });
  assert.deepEqual(sends(online()), []);
  assert.deepEqual(client.outbox, []);
});

test('a storage that does not tell its keys costs what it holds, not the sending', async () => {
  const failures: KeyValueStorage['keys'][] = [
    () => {
      throw new Error('closing');
    },
    () => Promise.reject(new Error('closing')),
  ];
  for (const keys of failures) {
    const { client, online } = start({ storage: { ...memoryStorage(), keys } });
    const problems: string[] = [];
    client.on('problem', ({ during, error }) => problems.push(`${during}: ${(error as Error).message}`));
    void client.send('bob', 'hi', { clientId: 'c1' });
    const socket = online();
    await tick();
    assert.deepEqual(sends(socket), [['c1', 'hi']]);
    assert.equal(problems.at(-1), 'the storage: closing');
  }
});

test('rubbish in the storage is passed over, and a problem tells', () => {
  const entries = new Map(
    ['', '{', 'null', '{"to":"bob"}', '[]', '{"to":"bob","message":"hi","at":"1"}'].map(
      (value, i) => [`${PREFIX}r${i}`, value] as [string, string],
    ),
  );
  // The server would refuse the first without its name, and close the socket at the second, after each connect.
  entries.set(`${PREFIX}no id`, HI);
  entries.set(`${PREFIX}long`, JSON.stringify({ to: 'bob', message: 'x'.repeat(70_000), at: 1 }));
  entries.set(`${PREFIX}good`, HI);
  const rubbish = entries.size - 1;
  const { client, online } = start({ storage: memoryStorage(entries) });
  assert.deepEqual(
    client.outbox.map(({ client_id }) => client_id),
    ['good'],
  );
  const problems: string[] = [];
  client.on('problem', ({ during, error }) => problems.push(`${during}: ${(error as Error).message}`));
  online();
  assert.equal(problems.length, rubbish);
  assert.equal(problems[0], `the storage: not an outbox entry: ${PREFIX}r0`);
});

test('an entry that failed for a reason that is not known here, as a later version may write it, is sent once more', () => {
  const reasons: unknown[] = [null, 'late', { code: 'too_holographic', error: 'x' }, { code: 'forbidden' }];
  const entries = reasons.map((failed, i): [string, string] => [
    `${PREFIX}c${i}`,
    JSON.stringify({ to: 'bob', message: 'hi', at: i, failed }),
  ]);
  const { client, online } = start({ storage: memoryStorage(new Map(entries)) });
  assert.deepEqual(
    client.outbox.map(({ status }) => status),
    reasons.map(() => 'queued'),
  );
  assert.equal(sends(online()).length, reasons.length);
});

test('tabs: an entry that another has settled since its key was listed is none, and no problem', () => {
  for (const gone of [null, undefined]) {
    const keys = () => [`${PREFIX}c1`];
    const { client, online } = start({ storage: { ...memoryStorage(), keys, getItem: () => gone } });
    const problems: unknown[] = [];
    client.on('problem', ({ error }) => problems.push(error));
    assert.deepEqual(sends(online()), []);
    assert.deepEqual([...client.outbox, ...problems], []);
  }
});

test('G9: the outbox of one user is not sent by another', () => {
  const storage = memoryStorage();
  const alice = start({ storage });
  void alice.client.send('bob', 'mine');
  alice.client.close();
  const bob = start({ storage, session: { user_id: 'bob', token: 't2' } });
  assert.deepEqual(bob.client.outbox, []);
  assert.deepEqual(sends(bob.online({ user_id: 'bob' })), []);
});

test('A3, G2: what waited when the session ended is sent, and answered, after the next login of the same user', async () => {
  const { client, transport, online } = start();
  const sending = client.send('bob', 'hi', { clientId: 'c1' });
  online().events.closed(4401, '');
  assert.equal(client.session, null);
  transport.fetch = async () => Response.json({ token: 't2' });
  await client.login('alice', 'pw');
  const socket = online();
  assert.deepEqual(sends(socket), [['c1', 'hi']]);
  socket.says(echo(1, 'c1'));
  assert.equal((await sending).id, 1);
});

test('G9: what one user has not sent when another logs in waits in the storage for the first', async () => {
  const { client, transport, online } = start({ storage: memoryStorage() });
  transport.fetch = async () => Response.json({ token: 't2' });
  const sending = client.send('bob', 'hi', { clientId: 'c1' });
  await Promise.all([client.login('carol', 'pw'), assert.rejects(sending, { code: 'logged_out' })]);
  assert.deepEqual(sends(online({ user_id: 'carol' })), []);
  await client.login('alice', 'pw');
  assert.deepEqual(sends(online()), [['c1', 'hi']]);
});

test('G9: a user whose id looks like the keys of another has an outbox of their own', () => {
  const storage = memoryStorage();
  void start({ storage, session: { user_id: 'alice:outbox:x' } }).client.send('bob', 'theirs');
  assert.deepEqual(start({ storage }).client.outbox, []);
});

test('logout forgets what was not sent', async () => {
  const entries = new Map<string, string>();
  const { client } = start({ storage: memoryStorage(entries), session: { user_id: 'alice' } });
  const sending = client.send('bob', 'secret');
  const rejected = assert.rejects(sending, { code: 'logged_out' });
  await client.logout();
  await rejected;
  assert.equal(entries.size, 0);
  assert.equal(client.session, null);
  await assert.rejects(client.send('bob', 'x'), { code: 'no_session' });
});

test('logout forgets what was not sent when the server has ended the session before, too', async () => {
  const entries = new Map<string, string>();
  const { client, transport } = start({ storage: memoryStorage(entries) });
  const ends: unknown[] = [];
  client.on('session', ({ session, because }) => ends.push([session, because?.code]));
  const rejected = assert.rejects(client.send('bob', 'secret'), { code: 'logged_out' });
  client.connect();
  transport.last.events.closed(4401, '');
  assert.equal(entries.size, 1);
  await client.logout();
  await rejected;
  assert.equal(entries.size, 0);
  assert.equal(client.state.name, 'idle');
  assert.deepEqual(ends, [
    [null, 'unauthorized'],
    [null, undefined],
  ]);
  await client.logout();
  assert.equal(ends.length, 2);
});

test('L5: a lost socket takes with it the room that its unanswered sends had taken', () => {
  const { client, clock, transport, online } = start();
  const limits = { message_units: 8_000, frame_bytes: 65_536, unanswered: 2 };
  let socket = online({ limits });
  for (const n of [1, 2, 3]) void client.send('bob', 'hi', { clientId: `c${n}` });
  for (let losses = 0; losses < 3; losses++) {
    assert.deepEqual(
      sends(socket).map(([id]) => id),
      ['c1', 'c2'],
    );
    transport.last.events.closed(1006, '');
    clock.advance(30_000);
    socket = transport.welcome({ limits });
  }
});

test('M5: what was stored in between makes the next pause a short one again', () => {
  const { client, clock, online } = start();
  const socket = online();
  for (const n of [1, 2, 3]) {
    void client.send('bob', 'hi', { clientId: `c${n}` });
    socket.take();
    socket.says(refusal('overloaded', true, `c${n}`));
    clock.advance(249);
    assert.deepEqual(sends(socket), []);
    clock.advance(1);
    assert.equal(sends(socket).length, 1);
    socket.says(echo(n, `c${n}`));
  }
});

test('logout forgets what other tabs have left, too, and what was beyond the limit', async () => {
  const storage = memoryStorage();
  const first = start({ storage });
  for (const n of [1, 2, 3]) void first.client.send('bob', `m${n}`, { clientId: `c${n}` });
  first.client.close();
  const { client } = start({ storage, outboxLimit: 2 });
  assert.equal(client.outbox.length, 2, 'G6: the others wait in the storage');
  await client.logout().catch(() => {});
  assert.deepEqual([...(await storage.keys(''))], []);
});
