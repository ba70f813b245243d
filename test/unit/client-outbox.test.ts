import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryStorage } from '../../src/client/index.ts';
import { echo, refusal, sends, start, tick } from '../support/outbox-fixture.ts';
import { stored } from '../support/server-frames.ts';

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
