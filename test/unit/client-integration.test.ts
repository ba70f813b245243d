import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  type Client,
  type ClientOptions,
  type ConnectionState,
  createClient,
  memoryStorage,
} from '../../src/client/index.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { connected, stored } from '../support/server-frames.ts';

/*
 * The default transport, on Node's own WebSocket and fetch, against a real server that keeps to a script.
 * Back-off runs on a clock that the tests move.
 */

async function start(t: TestContext, options: Partial<ClientOptions> = {}) {
  const server = await ScriptedServer.start();
  const clock = new ManualClock();
  const clients: Client[] = [];
  const create = (more: Partial<ClientOptions> = {}): Client => {
    const client = createClient({
      url: server.url,
      session: { user_id: 'alice', token: 't1' },
      clock,
      ...options,
      ...more,
    });
    clients.push(client);
    return client;
  };
  t.after(async () => {
    for (const client of clients) client.close();
    await server.stop();
  });
  return { server, clock, create };
}

function reaches(client: Client, name: ConnectionState['name']): Promise<void> {
  if (client.state.name === name) return Promise.resolve();
  return new Promise((resolve) => {
    const off = client.on('state', (state) => {
      if (state.name !== name) return;
      off();
      resolve();
    });
  });
}

test('B1, B3: speaks parley.v1 and carries the token in its first frame', async (t) => {
  const { server, create } = await start(t);
  const client = create();
  client.connect();
  const socket = await server.socket();
  assert.equal(socket.subprotocol, 'parley.v1');
  assert.deepEqual(await socket.frame(), { type: 'connect', user_id: 'alice', token: 't1' });
  socket.send(connected({ head: 3 }));
  await client.online();
  assert.deepEqual(client.cursor, { epoch: 'e1', since: 3 });
});

test('G2: killed before the echo, the send is repeated with its client_id and resolves once', async (t) => {
  const { server, clock, create } = await start(t);
  const client = create();
  const delivered: number[] = [];
  client.on('message', ({ id }) => delivered.push(id));
  client.connect();
  const first = await server.socket();
  await first.frameOf('connect');
  first.send(connected());
  let settled = 0;
  const sending = client.send('bob', 'hello');
  void sending.then(() => settled++);
  const sent = await first.frameOf('message');
  first.kill();
  await reaches(client, 'waiting');
  clock.advance(1_000);

  const second = await server.socket();
  assert.deepEqual(await second.frame(), {
    type: 'connect',
    user_id: 'alice',
    token: 't1',
    since: 0,
    epoch: 'e1',
  });
  second.send(connected({ head: 1 }));
  assert.deepEqual(await second.frame(), sent);
  // It had been stored: it comes with the page, and the repetition is answered beside the stream.
  const original = stored(1, { from: 'alice', to: 'bob', message: 'hello', client_id: sent.client_id });
  second.send({ ...original, repeat: true }, { type: 'page', messages: [original], upto: 1, more: false });
  assert.equal((await sending).id, 1);
  await client.online();
  second.send(stored(2));
  await new Promise<void>((resolve) => client.on('message', () => resolve()));
  assert.deepEqual(delivered, [1, 2]);
  assert.equal(settled, 1);
  assert.equal(second.waiting, 0);
});

test('G4: pages, then live messages, with nothing twice', async (t) => {
  const { server, create } = await start(t, { cursor: { epoch: 'e1', since: 2 } });
  const client = create();
  const delivered: number[] = [];
  client.connect();
  const socket = await server.socket();
  assert.deepEqual(await socket.frame(), {
    type: 'connect',
    user_id: 'alice',
    token: 't1',
    since: 2,
    epoch: 'e1',
  });
  const done = new Promise<void>((resolve) => {
    client.on('message', ({ id }) => {
      delivered.push(id);
      if (id === 7) resolve();
    });
  });
  socket.send(connected({ head: 5 }));
  socket.send({ type: 'page', messages: [stored(3), stored(4)], upto: 4, more: true });
  socket.send({ type: 'page', messages: [stored(4), stored(5)], upto: 5, more: false });
  socket.send(stored(5), stored(6), stored(7));
  await done;
  assert.deepEqual(delivered, [3, 4, 5, 6, 7]);
});

test('R3, R4: another epoch brings a resync event, and live messages go on', async (t) => {
  const { server, clock, create } = await start(t);
  const client = create();
  const seen: unknown[] = [];
  client.on('resync', (event) => seen.push(event));
  client.connect();
  const first = await server.socket();
  await first.frameOf('connect');
  first.send(connected({ head: 50 }));
  await client.online();
  first.close(1012);
  await reaches(client, 'waiting');
  clock.advance(1_000);
  const second = await server.socket();
  assert.deepEqual(await second.frame(), {
    type: 'connect',
    user_id: 'alice',
    token: 't1',
    since: 50,
    epoch: 'e1',
  });
  const live = new Promise<number>((resolve) => client.on('message', ({ id }) => resolve(id)));
  second.send(connected({ epoch: 'e2', head: 20, resync: true }), stored(21));
  assert.equal(await live, 21);
  assert.deepEqual(seen, [{ epoch: 'e2', head: 20 }]);
  assert.deepEqual(client.cursor, { epoch: 'e2', since: 21 });
});

test('K3: the closing notice is honoured to the millisecond', async (t) => {
  const { server, clock, create } = await start(t);
  const client = create();
  client.connect();
  const first = await server.socket();
  await first.frameOf('connect');
  first.send(connected(), {
    type: 'closing',
    code: 'shutting_down',
    error: 'restart',
    reconnect_after_ms: 4_321,
  });
  first.close(1012);
  await reaches(client, 'waiting');
  clock.advance(4_320);
  assert.equal(client.state.name, 'waiting');
  clock.advance(1);
  await (await server.socket()).frameOf('connect');
});

test('K4: a refusal stops, and connect() tries again', async (t) => {
  const { server, create } = await start(t);
  const client = create();
  client.connect();
  const first = await server.socket();
  await first.frameOf('connect');
  first.send({ type: 'error', code: 'forbidden', error: 'not yours', retryable: false });
  first.close(4403);
  await assert.rejects(client.online(), { code: 'forbidden' });
  client.connect();
  const second = await server.socket();
  await second.frameOf('connect');
  second.send(connected());
  await client.online();
});

test('a reload brings the outbox back from the storage, and a repeat settles it', async (t) => {
  const storage = memoryStorage();
  const { server, create } = await start(t, { storage });
  const before = create();
  before.connect();
  const first = await server.socket();
  await first.frameOf('connect');
  first.send(connected());
  const sending = before.send('bob', 'hello');
  const sent = await first.frameOf('message');
  before.close();
  await assert.rejects(sending, { code: 'closed' });

  const after = create();
  assert.deepEqual(
    after.outbox.map(({ client_id }) => client_id),
    [sent.client_id],
  );
  const settled = new Promise<number>((resolve) => {
    after.on('outbox', (change) => change.kind === 'settled' && resolve(change.message.id));
  });
  after.connect();
  const second = await server.socket();
  await second.frameOf('connect');
  second.send(connected({ head: 1 }));
  assert.deepEqual(await second.frame(), sent);
  second.send(
    stored(1, { from: 'alice', to: 'bob', message: 'hello', client_id: sent.client_id, repeat: true }),
  );
  assert.equal(await settled, 1);
  assert.deepEqual(after.outbox, []);
  assert.deepEqual(create().outbox, []);
});

test('a server that is not there is tried again', async (t) => {
  const { server, clock, create } = await start(t);
  await server.stop();
  const client = create();
  client.connect();
  for (let i = 0; i < 3; i++) {
    await reaches(client, 'waiting');
    assert.ok(client.state.name === 'waiting');
    clock.advance(client.state.retryAt - clock.now());
    assert.equal(client.state.name, 'connecting');
  }
});
