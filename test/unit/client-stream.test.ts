import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ClientError, type ClientOptions, memoryStorage } from '../../src/client/index.ts';
import { startClient } from '../support/fake-transport.ts';
import { connected, stored } from '../support/server-frames.ts';

function start(options: Partial<ClientOptions> = {}) {
  const { client, clock, transport, unheard } = startClient(options);
  const seen: (number | string)[] = [];
  client.on('message', ({ id }) => seen.push(id));
  client.on('resync', ({ epoch, head }) => seen.push(`resync ${epoch} ${head}`));
  client.on('state', ({ name }) => {
    if (name === 'online') seen.push('online');
  });
  /** Breaks the socket and opens the next. @returns the `connect` frame of it */
  const reconnect = () => {
    transport.last.events.closed(1006, '');
    clock.advance(0);
    transport.last.events.opened();
    return transport.last.take()[0];
  };
  return { client, clock, transport, unheard, seen, reconnect };
}

test('G3, G4: pages, then live messages; each once, in order, across a reconnect', () => {
  const { client, transport, seen, reconnect } = start({ cursor: { epoch: 'e1', since: 10 } });
  client.connect();
  const socket = transport.welcome({ head: 14 });
  socket.says({ type: 'page', messages: [stored(10), stored(11), stored(12)], upto: 12, more: true });
  socket.says({ type: 'page', messages: [stored(12), stored(14)], upto: 20, more: false });
  socket.says(stored(14), stored(15), stored(21), stored(21));
  assert.deepEqual(seen, [11, 12, 14, 'online', 21]);
  assert.deepEqual(reconnect(), { type: 'connect', user_id: 'alice', token: 't1', since: 21, epoch: 'e1' });
});

test('G3: a page that ends below what has been delivered brings nothing back', () => {
  const { client, transport, seen } = start({ cursor: { epoch: 'e1', since: 10 } });
  client.connect();
  const socket = transport.welcome({ head: 11 });
  socket.says({ type: 'page', messages: [stored(11)], upto: 9, more: false }, stored(11), stored(12));
  assert.deepEqual(seen, [11, 'online', 12]);
});

test('R2: a client without a cursor begins at head, and resumes from there', () => {
  const { client, transport, seen, reconnect } = start();
  client.connect();
  transport.welcome({ head: 7 });
  assert.deepEqual(client.cursor, { epoch: 'e1', since: 7 });
  assert.deepEqual(reconnect(), { type: 'connect', user_id: 'alice', token: 't1', since: 7, epoch: 'e1' });
  assert.deepEqual(seen, ['online']);
});

test('R3: resync is told once, before the live messages of the other past', () => {
  const { client, transport, seen, reconnect } = start({ cursor: { epoch: 'e1', since: 100 } });
  client.connect();
  transport.welcome({ epoch: 'e2', head: 40, resync: true }).says(stored(41));
  assert.deepEqual(seen, ['resync e2 40', 'online', 41]);
  assert.deepEqual(reconnect(), { type: 'connect', user_id: 'alice', token: 't1', since: 41, epoch: 'e2' });
});

test('M3: a repeat is no delivery, and moves no cursor', () => {
  const { client, transport, seen } = start();
  client.connect();
  transport
    .welcome({ head: 7 })
    .says(stored(9, { from: 'alice', to: 'bob', repeat: true }), stored(8), stored(9));
  assert.deepEqual(seen, ['online', 8, 9]);
});

test('a listener that throws neither stops the others nor moves the order', () => {
  const { client, transport, seen } = start();
  const problems: string[] = [];
  client.on('problem', ({ during }) => problems.push(during));
  client.on('message', () => {
    throw new Error('mine');
  });
  const late: number[] = [];
  client.on('message', ({ id }) => late.push(id));
  client.connect();
  transport.welcome().says(stored(1), stored(2));
  assert.deepEqual(seen, ['online', 1, 2]);
  assert.deepEqual(late, [1, 2]);
  assert.deepEqual(problems, ["a listener of 'message'", "a listener of 'message'"]);
});

test('a listener that another unsubscribes is not called again, and the events go on without it', () => {
  const { client, transport, seen } = start();
  const late: number[] = [];
  client.on('message', ({ id }) => {
    if (id === 2) off();
  });
  const off = client.on('message', ({ id }) => late.push(id));
  client.connect();
  transport.welcome().says(stored(1), stored(2), stored(3));
  assert.deepEqual(seen, ['online', 1, 2, 3]);
  assert.deepEqual(late, [1]);
});

test('a problem that nobody listens to is told on the console, and no other is', (t) => {
  const { client, transport, unheard } = start();
  unheard();
  const written: string[] = [];
  t.mock.method(console, 'error', (text: string, error: Error) => written.push(`${text} ${error.message}`));
  client.on('message', ({ id }) => {
    throw new Error(`mine at ${id}`);
  });
  client.connect();
  const socket = transport.welcome();
  socket.says(stored(1));
  assert.deepEqual(written, ["parley: a problem with a listener of 'message': mine at 1"]);
  const off = client.on('problem', () => {});
  socket.says(stored(2));
  off();
  socket.says(stored(3));
  assert.deepEqual(written.slice(1), ["parley: a problem with a listener of 'message': mine at 3"]);
  client.markRead('x'.repeat(300), 1);
  client.markRead('bob', -1);
  assert.deepEqual(written.slice(2), [
    'parley: a problem with markRead: There is no such user.',
    'parley: a problem with markRead: A message id is a positive integer.',
  ]);
});

test('what an asynchronous listener rejects with is told as a problem, and ends no process', async (t) => {
  t.mock.method(console, 'error', () => {});
  const { client, transport } = start();
  const problems: string[] = [];
  client.on('problem', ({ error, during }) => problems.push(`${during}: ${error}`));
  client.on('problem', () => Promise.reject(new Error('not even this')));
  client.on('message', async ({ id }) => {
    throw new Error(`no room for ${id}`);
  });
  client.connect();
  transport.welcome({ head: 1 }).says(stored(2));
  await new Promise(setImmediate);
  assert.deepEqual(problems, ["a listener of 'message': Error: no room for 2"]);
});

test('what is not a frame, or is of a later protocol, harms nothing', () => {
  const { client, transport, seen } = start();
  client.connect();
  const socket = transport.welcome();
  for (const text of ['{', 'null', '7', '{}', '{"type":"toString"}', '{"type":"hologram"}'])
    socket.events.frame(text);
  socket.says(stored(1));
  assert.deepEqual(seen, ['online', 1]);
});

test('an error with a code of a later protocol is told as the server words it, and ends nothing', () => {
  const { client, transport, seen } = start();
  const told: unknown[] = [];
  client.on('problem', ({ error }) =>
    told.push([(error as ClientError).message, (error as ClientError).retryable]),
  );
  client.connect();
  const socket = transport.welcome();
  const error = {
    type: 'error',
    code: 'too_holographic',
    error: 'Not in three dimensions.',
    retryable: false,
  };
  socket.events.frame(JSON.stringify(error));
  assert.deepEqual(told, [['Not in three dimensions.', false]]);
  socket.says(stored(1));
  assert.deepEqual(seen, ['online', 1]);
});

for (const kind of ['synchronous', 'asynchronous'] as const) {
  test(`R1: a cursor kept in a ${kind} storage resumes after a reload`, async () => {
    const memory = memoryStorage();
    const storage =
      kind === 'synchronous'
        ? memory
        : {
            getItem: async (key: string) => memory.getItem(key),
            setItem: async (key: string, value: string) => memory.setItem(key, value),
            removeItem: async (key: string) => memory.removeItem(key),
            keys: async (prefix: string) => memory.keys(prefix),
          };
    const before = start({ storage, cursorName: 'here' });
    before.client.connect();
    await new Promise(setImmediate);
    before.transport.welcome({ head: 3 }).says(stored(4), stored(9));
    await new Promise(setImmediate);
    before.client.close();

    const after = start({ storage, cursorName: 'here' });
    after.client.connect();
    await new Promise(setImmediate);
    after.transport.last.events.opened();
    assert.deepEqual(after.transport.last.take(), [
      { type: 'connect', user_id: 'alice', token: 't1', since: 9, epoch: 'e1' },
    ]);
  });
}

test('R1: a process that dies within a page repeats one message at its next start, not the page', () => {
  const entries = new Map<string, string>();
  const { client, transport } = start({
    storage: memoryStorage(entries),
    cursorName: 'here',
    cursor: { epoch: 'e1', since: 3 },
  });
  const kept: string[] = [];
  client.on('message', ({ id }) => kept.push(`${id} ${entries.get('parley:chat.test/:alice:cursor:here')}`));
  client.connect();
  const messages = [stored(4), stored(7)];
  transport.welcome({ head: 9 }).says({ type: 'page', messages, upto: 9, more: false });
  assert.deepEqual(kept, ['4 {"epoch":"e1","since":3}', '7 {"epoch":"e1","since":4}']);
});

/** A storage with the cursor `e1`, 5 in it, whose next `count` reads of anything fail. */
function failingStorage(count: number) {
  const key = 'parley:chat.test/:alice:cursor:here';
  const entries = new Map([[key, JSON.stringify({ epoch: 'e1', since: 5 })]]);
  const memory = memoryStorage(entries);
  const getItem = async (name: string) => {
    if (count-- > 0) throw new Error('closing');
    return memory.getItem(name);
  };
  return { storage: { ...memory, getItem }, cursor: () => entries.get(key) };
}

test('a cursor whose read fails is read again before connecting, and no message is missed', async () => {
  const { storage } = failingStorage(2);
  const { client, clock, transport, seen } = start({ storage, cursorName: 'here', random: () => 0.5 });
  const problems: string[] = [];
  client.on('problem', ({ during, error }) => problems.push(`${during}: ${(error as Error).message}`));
  client.connect();
  await new Promise(setImmediate);
  clock.advance(250);
  await new Promise(setImmediate);
  assert.deepEqual(transport.sockets, []);
  clock.advance(500);
  await new Promise(setImmediate);
  transport.last.events.opened();
  assert.deepEqual(transport.last.take(), [
    { type: 'connect', user_id: 'alice', token: 't1', since: 5, epoch: 'e1' },
  ]);
  assert.deepEqual(problems, ['the storage: closing', 'the storage: closing']);
  assert.deepEqual(seen, []);
});

test('a cursor that stays unreadable is given up with a resync, and is not written over', async () => {
  const { storage, cursor } = failingStorage(5);
  const { client, clock, transport, seen, reconnect } = start({ storage, cursorName: 'here' });
  client.connect();
  for (let i = 0; i < 5; i++) {
    await new Promise(setImmediate);
    clock.advance(0);
  }
  transport.welcome({ head: 9 }).says(stored(10));
  assert.deepEqual(seen, ['resync e1 9', 'online', 10]);
  assert.deepEqual(reconnect(), { type: 'connect', user_id: 'alice', token: 't1', since: 10, epoch: 'e1' });
  assert.equal(cursor(), '{"epoch":"e1","since":5}');
});

test('a cursor whose read ends after a connection came about by itself does not undo that one', async () => {
  const { storage } = failingStorage(0);
  const reads: (() => void)[] = [];
  const slow = {
    ...storage,
    getItem: (key: string) =>
      key.includes(':cursor:')
        ? new Promise<null>((resolve) => reads.push(() => resolve(null)))
        : storage.getItem(key),
  };
  const { client, clock, transport, seen } = start({ storage: slow, cursorName: 'here' });
  client.connect();
  reads.shift()?.();
  await new Promise(setImmediate);
  transport.last.events.closed(1006, '');
  // "Try now", while the timer of the back-off is about to do the same.
  client.connect();
  clock.advance(30_000);
  transport.welcome({ head: 9 });
  for (const answer of reads) answer();
  await new Promise(setImmediate);
  transport.last.says(stored(10));
  assert.deepEqual(seen, ['online', 10]);
});

test('a cursor that becomes readable after a connection was asked for without it is not taken for what the server was told', async () => {
  const { storage } = failingStorage(5);
  const { client, clock, transport, seen } = start({ storage, cursorName: 'here' });
  client.connect();
  for (let i = 0; i < 5; i++) {
    await new Promise(setImmediate);
    clock.advance(0);
  }
  transport.last.events.closed(1006, '');
  // The storage works again, but the timer of the back-off is faster.
  client.connect();
  clock.advance(0);
  transport.last.events.opened();
  await new Promise(setImmediate);
  transport.last.says(connected({ head: 9 }));
  transport.last.says(stored(10));
  assert.deepEqual(seen, ['resync e1 9', 'online', 10]);
  assert.equal(client.state.name, 'online');
});

test('close() while the read of a cursor is about to be repeated leaves no timer behind', async () => {
  const { storage } = failingStorage(1);
  const { client, clock } = start({ storage, cursorName: 'here' });
  client.connect();
  await new Promise(setImmediate);
  assert.equal(clock.timers, 1);
  client.close();
  assert.equal(clock.timers, 0);
});

test('disconnect() while a cursor is read is the last word, whether the read succeeds or fails', async () => {
  for (const failing of [0, 1]) {
    const { storage } = failingStorage(failing);
    const { client, clock, transport } = start({ storage, cursorName: 'here' });
    client.connect();
    client.disconnect();
    await new Promise(setImmediate);
    assert.deepEqual(transport.sockets, []);
    assert.equal(client.state.name, 'idle');
    assert.equal(clock.timers, 0);
  }
});

test('a cursor whose read throws is read again, too', () => {
  const { storage } = failingStorage(0);
  let broken = true;
  const getItem = () => {
    if (broken) throw new Error('closing');
    return '{"epoch":"e1","since":5}';
  };
  const { client, clock, transport } = start({ storage: { ...storage, getItem }, cursorName: 'here' });
  client.connect();
  assert.deepEqual(transport.sockets, []);
  broken = false;
  clock.advance(500);
  transport.last.events.opened();
  assert.deepEqual(
    transport.last.take().map((frame) => frame.type === 'connect' && frame.since),
    [5],
  );
});

test('logout() forgets the cursor of an earlier page, though this one never connected', async () => {
  const { storage, cursor } = failingStorage(0);
  const { client } = start({ storage, cursorName: 'here', session: { user_id: 'alice' } });
  await client.logout();
  assert.equal(cursor(), undefined);
});

test('logout() resolves once a slow storage has forgotten the cursor: a page that goes away then leaves none behind', async () => {
  const { promise: removed, resolve } = Promise.withResolvers<void>();
  const storage = { ...failingStorage(0).storage, removeItem: () => removed };
  const { client } = start({ storage, cursorName: 'here', session: { user_id: 'alice' } });
  const told: string[] = [];
  const loggedOut = client.logout().then(() => told.push('logged out'));
  await new Promise(setImmediate);
  told.push('removed');
  resolve();
  await loggedOut;
  assert.deepEqual(told, ['removed', 'logged out']);
});

test('rubbish in the place of a cursor brings a resync, and is written over', () => {
  const key = 'parley:chat.test/:alice:cursor:here';
  for (const rubbish of [
    '{',
    'null',
    '{}',
    '{"epoch":"e1"}',
    '{"epoch":1,"since":5}',
    '{"epoch":"","since":5}',
    '{"epoch":"e1","since":-1}',
    '{"epoch":"e1","since":1.5}',
  ]) {
    const entries = new Map([[key, rubbish]]);
    const { client, transport, seen } = start({ storage: memoryStorage(entries), cursorName: 'here' });
    const problems: string[] = [];
    client.on('problem', ({ during, error }) => problems.push(`${during}: ${(error as Error).message}`));
    client.connect();
    assert.deepEqual(problems, [`the storage: not a cursor: ${key}`]);
    transport.last.events.opened();
    assert.deepEqual(transport.last.take(), [{ type: 'connect', user_id: 'alice', token: 't1' }]);
    transport.last.says(connected({ head: 9 }));
    assert.deepEqual(seen, ['resync e1 9', 'online']);
    assert.equal(entries.get(key), '{"epoch":"e1","since":9}');
  }
});

for (const leave of ['close', 'logout', 'disconnect'] as const) {
  test(`G4: ${leave}() in a listener is the end of the page, and the cursor stands where the listener was`, () => {
    const entries = new Map<string, string>();
    const { client, transport, seen } = start({
      session: { user_id: 'alice' },
      cursor: { epoch: 'e1', since: 10 },
      storage: memoryStorage(entries),
      cursorName: 'here',
    });
    client.on('message', ({ id }) => {
      if (id === 12) void client[leave]();
    });
    client.connect();
    const messages = [stored(11), stored(12), stored(13)];
    transport.welcome({ head: 20 }).says({ type: 'page', messages, upto: 20, more: false });
    assert.deepEqual(seen, [11, 12]);
    // What the user was told once must not come again, and what logout forgot must stay so.
    assert.deepEqual([...entries.values()], leave === 'logout' ? [] : ['{"epoch":"e1","since":12}']);
  });
}
