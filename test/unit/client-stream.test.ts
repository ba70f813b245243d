import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ClientOptions, memoryStorage } from '../../src/client/index.ts';
import { startClient } from '../support/fake-transport.ts';
import { stored } from '../support/server-frames.ts';

function start(options: Partial<ClientOptions> = {}) {
  const { client, clock, transport } = startClient(options);
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
  return { client, clock, transport, seen, reconnect };
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

test('what is not a frame, or is of a later protocol, harms nothing', () => {
  const { client, transport, seen } = start();
  client.connect();
  const socket = transport.welcome();
  for (const text of ['{', 'null', '7', '{}', '{"type":"toString"}', '{"type":"hologram"}'])
    socket.events.frame(text);
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
