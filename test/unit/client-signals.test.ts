import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientError, ClientOptions } from '../../src/client/index.ts';
import type { Connected } from '../../src/client/wire.ts';
import { startClient } from '../support/fake-transport.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { stored } from '../support/server-frames.ts';

function start(options: Partial<ClientOptions> = {}) {
  const { client, clock, transport } = startClient(options);
  client.connect();
  const socket = transport.welcome({ head: 9 });
  const reconnect = (frame: Partial<Connected> = { head: 9 }) => {
    transport.last.events.closed(1006, '');
    clock.advance(0);
    return transport.welcome(frame);
  };
  return { client, clock, transport, socket, reconnect };
}

test('S2: typing is told every 3 s at most to each, anew after a message, and not at all offline', () => {
  const { client, clock, transport, socket } = start();
  client.typing('bob');
  client.typing('bob');
  client.typing('carol');
  clock.advance(2_999);
  client.typing('bob');
  assert.deepEqual(socket.take(), [
    { type: 'typing', to: 'bob' },
    { type: 'typing', to: 'carol' },
  ]);
  clock.advance(1);
  client.typing('bob');
  assert.equal(socket.take().length, 1);
  void client.send('bob', 'hi');
  client.typing('bob');
  assert.deepEqual(
    socket.take().map(({ type }) => type),
    ['message', 'typing'],
  );
  socket.events.closed(1006, '');
  client.typing('carol');
  clock.advance(0);
  assert.deepEqual(
    transport
      .welcome()
      .take()
      .filter(({ type }) => type === 'typing'),
    [],
  );
});

test('S2: typing is told again after the clock was set back', () => {
  const clock = new ManualClock();
  let setBackMs = 0;
  const { client, socket } = start({
    clock: { now: () => clock.now() - setBackMs, after: (ms, run) => clock.after(ms, run) },
  });
  client.typing('bob');
  setBackMs = 3_600_000;
  client.typing('bob');
  assert.equal(socket.take().length, 2);
});

test('S2: typing is forgotten after 6 s, with a message, and with the connection', () => {
  const { client, clock, socket } = start();
  const seen: string[] = [];
  client.on('typing', ({ from, typing }) => seen.push(`${from} ${typing}`));
  socket.says({ type: 'typing', from: 'bob' });
  clock.advance(5_999);
  socket.says({ type: 'typing', from: 'bob' });
  clock.advance(5_999);
  assert.deepEqual(seen.splice(0), ['bob true']);
  clock.advance(1);
  assert.deepEqual(seen.splice(0), ['bob false']);
  socket.says({ type: 'typing', from: 'bob' }, { type: 'typing', from: 'carol' }, stored(10));
  assert.deepEqual(seen.splice(0), ['bob true', 'carol true', 'bob false']);
  socket.events.closed(1006, '');
  assert.deepEqual(seen, ['carol false']);
});

test('a listener that logs out, or closes the client, when typing stops with a message is told of that message no more', () => {
  for (const end of ['logout', 'close', 'disconnect'] as const) {
    const { client, socket, transport } = start();
    transport.fetch = async () => Response.json({ message: 'ok' });
    const seen: unknown[] = [];
    socket.says({ type: 'typing', from: 'bob' });
    client.on('typing', () => void client[end]());
    client.on('session', ({ session }) => seen.push(session));
    client.on('message', ({ id }) => seen.push(id));
    socket.says(stored(10));
    assert.deepEqual(seen, { logout: [null], close: [], disconnect: [10] }[end], end);
    assert.equal(client.cursor?.since, end === 'disconnect' ? 10 : undefined);
  }
});

test('S1: a read marker only moves forward, and is repeated after a reconnect until it is confirmed', () => {
  const { client, socket, reconnect } = start();
  client.markRead('bob', 5);
  client.markRead('bob', 4);
  client.markRead('carol', 7);
  assert.deepEqual(socket.take(), [
    { type: 'read', with: 'bob', id: 5 },
    { type: 'read', with: 'carol', id: 7 },
  ]);
  socket.says(
    { type: 'read', user: 'alice', with: 'bob', id: 5 },
    { type: 'read', user: 'carol', with: 'alice', id: 9 },
  );
  assert.deepEqual(reconnect().take(), [{ type: 'read', with: 'carol', id: 7 }]);
});

test('S2, G6: of more users than are kept count of, those who are told to type stop, too, however often they typed', () => {
  const { client, clock, socket } = start();
  const typing = new Set<string>();
  let most = 0;
  client.on('typing', ({ from, typing: on }) => {
    if (on) typing.add(from);
    else typing.delete(from);
    most = Math.max(most, typing.size);
  });
  const all = Array.from({ length: 1_001 }, (_, i) => `u${i}`);
  for (const from of [...all, ...all]) socket.says({ type: 'typing', from });
  assert.equal(most, 1_000);
  clock.advance(6_000);
  assert.deepEqual([...typing], []);
});

test('M2, S1: messages of nobody, as an old database has them, are marked as read like those of others', () => {
  const { client, socket, reconnect } = start();
  client.markRead('', 5);
  assert.deepEqual(socket.take(), [{ type: 'read', with: '', id: 5 }]);
  socket.says({ type: 'read', user: 'alice', with: '', id: 5 });
  assert.deepEqual(reconnect().take(), []);
});

test('S1: the confirmation of a marker is not that of a later one, and what is confirmed is told no more', () => {
  const { client, socket, reconnect } = start();
  client.markRead('bob', 5);
  client.markRead('bob', 8);
  socket.says({ type: 'read', user: 'alice', with: 'bob', id: 5 });
  const next = reconnect();
  assert.deepEqual(next.take(), [{ type: 'read', with: 'bob', id: 8 }]);
  next.says({ type: 'read', user: 'alice', with: 'bob', id: 8 });
  const last = reconnect();
  client.markRead('bob', 8);
  assert.deepEqual(last.take(), []);
});

test('S1: a marker that was set offline, of a message that HTTP has told, is sent as it is', () => {
  const { client, clock, transport, socket } = start();
  socket.events.closed(1006, '');
  client.markRead('bob', 11);
  clock.advance(0);
  assert.deepEqual(transport.welcome({ head: 12 }).take(), [{ type: 'read', with: 'bob', id: 11 }]);
});

test('S1: a marker of a message that HTTP has told before the stream is sent again as it is', async () => {
  const { client, transport, reconnect } = start();
  const carol = {
    user: 'carol',
    last_message: stored(12, { from: 'carol' }),
    unread: 1,
    read: 0,
    peer_read: 0,
  };
  const answers = [
    { messages: [stored(11)], next_before: null },
    { conversations: [carol], next_before: null },
  ];
  transport.fetch = () => Promise.resolve(Response.json(answers.shift()));
  await client.history('bob');
  client.markRead('bob', 11);
  await client.conversations();
  client.markRead('carol', 12);
  assert.deepEqual(reconnect({ head: 13 }).take(), [
    { type: 'read', with: 'bob', id: 11 },
    { type: 'read', with: 'carol', id: 12 },
  ]);
});

test('M3, S1: the repeated echo of an old message takes nothing from the markers of later ones', () => {
  const { client, socket, reconnect } = start();
  socket.says(stored(3, { from: 'alice', to: 'bob', repeat: true }));
  client.markRead('bob', 9);
  assert.deepEqual(reconnect().take(), [{ type: 'read', with: 'bob', id: 9 }]);
});

test('S1: a marker above the newest message is sent again without what has come since', () => {
  const { client, socket, reconnect } = start();
  const read = (user: string, id: number) => ({ type: 'read', with: user, id });
  const beyond = Number.MAX_SAFE_INTEGER;
  client.markRead('bob', beyond);
  client.markRead('carol', beyond);
  socket.says({ type: 'read', user: 'alice', with: 'bob', id: 9 }, stored(10));
  client.markRead('dave', beyond);
  assert.deepEqual(socket.take(), [read('bob', beyond), read('carol', beyond), read('dave', beyond)]);
  const next = reconnect({ head: 12 });
  assert.deepEqual(next.take(), [read('carol', 9), read('dave', 10)]);
  client.markRead('bob', 12);
  assert.deepEqual(next.take(), [read('bob', 12)]);
  next.says({ type: 'read', user: 'alice', with: 'bob', id: 12 });
  // A restored backup has no such marker, nor such messages.
  const restored = reconnect({ epoch: 'e2', head: 5, resync: true });
  assert.deepEqual(restored.take(), [read('carol', 5), read('dave', 5)]);
  client.markRead('bob', 5);
  assert.deepEqual(restored.take(), [read('bob', 5)]);
});

test('S1: a marker from before the first connection goes no higher than its head', () => {
  const { client, transport } = startClient();
  client.markRead('bob', 7);
  client.markRead('carol', Number.MAX_SAFE_INTEGER);
  client.connect();
  assert.deepEqual(transport.welcome({ head: 9 }).take(), [
    { type: 'read', with: 'bob', id: 7 },
    { type: 'read', with: 'carol', id: 9 },
  ]);
});

test('S1: a marker that is set while a resync is being told counts nothing that comes after its head, either', () => {
  const { client, socket, reconnect } = start();
  const off = client.on('resync', () => client.markRead('bob', 100));
  const restored = reconnect({ epoch: 'e2', head: 5, resync: true });
  off();
  assert.deepEqual(restored.take(), [{ type: 'read', with: 'bob', id: 5 }]);
  assert.deepEqual(reconnect({ epoch: 'e2', head: 8 }).take(), [{ type: 'read', with: 'bob', id: 5 }]);
  assert.deepEqual(socket.take(), []);
});

test("what can't be an id is passed over, not sent at every reconnect, and a problem tells", () => {
  const { client, socket, reconnect } = start();
  const problems: string[] = [];
  client.on('problem', ({ error, during }) => problems.push(`${during}: ${(error as ClientError).code}`));
  client.watch(['bob', '', 'x'.repeat(257)]);
  client.typing('\ud800');
  client.markRead('x'.repeat(257), 3);
  for (const id of [-1, 1.5, Number.NaN, 2 ** 53, '3' as unknown as number]) client.markRead('bob', id);
  // Nothing of it has been read.
  client.markRead('bob', 0);
  const watch = [{ type: 'watch', users: ['bob'] }];
  assert.deepEqual(socket.take(), watch);
  assert.deepEqual(reconnect().take(), watch);
  assert.deepEqual(problems, [
    'watch: unknown_user',
    'watch: unknown_user',
    'typing: unknown_user',
    'markRead: unknown_user',
    ...Array<string>(5).fill('markRead: invalid_frame'),
  ]);
});

test('what is told before a login, or after the end, is passed over, and a problem tells', async () => {
  const { client, transport } = startClient({ session: undefined });
  const problems: string[] = [];
  client.on('problem', ({ error, during }) => problems.push(`${during}: ${(error as ClientError).code}`));
  const tell = () => {
    client.watch(['bob']);
    client.markRead('bob', 5);
    client.typing('bob');
  };
  tell();
  transport.fetch = async () => Response.json({ token: 't2' });
  await client.login('alice', 'pw');
  client.connect();
  assert.deepEqual(transport.welcome({ head: 9 }).take(), []);
  await client.logout();
  tell();
  client.close();
  tell();
  const each = (code: string) => [`watch: ${code}`, `markRead: ${code}`, `typing: ${code}`];
  assert.deepEqual(problems, [...each('no_session'), ...each('no_session'), ...each('closed')]);
});

test('S1: read markers of every side are events', () => {
  const { client, socket } = start();
  const seen: unknown[] = [];
  client.on('read', (mark) => seen.push([mark.user, mark.with, mark.id]));
  socket.says(
    { type: 'read', user: 'bob', with: 'alice', id: 5 },
    { type: 'read', user: 'alice', with: 'bob', id: 6 },
  );
  client.markRead('bob', 6);
  assert.deepEqual(seen, [
    ['bob', 'alice', 5],
    ['alice', 'bob', 6],
  ]);
  assert.deepEqual(socket.take(), [], 'another device has moved it already');
  client.markRead('alice', 4);
  assert.deepEqual(
    socket.take(),
    [{ type: 'read', with: 'alice', id: 4 }],
    'what bob has read is not what is read of notes to oneself',
  );
});

test('S3: the watched set is sent anew on every socket', () => {
  const { client, socket, reconnect } = start();
  const seen: unknown[] = [];
  client.on('presence', ({ online, offline }) => seen.push([online, offline]));
  client.watch(['bob', 'carol', 'bob']);
  assert.deepEqual(socket.take(), [{ type: 'watch', users: ['bob', 'carol'] }]);
  socket.says({ type: 'presence', online: ['bob'], offline: ['carol'] });
  assert.deepEqual(seen, [[['bob'], ['carol']]]);
  const next = reconnect();
  assert.deepEqual(next.take(), [{ type: 'watch', users: ['bob', 'carol'] }]);
  client.watch([]);
  assert.deepEqual(next.take(), [{ type: 'watch', users: [] }]);
  assert.deepEqual(reconnect().take(), []);
  assert.throws(() => client.watch(Array.from({ length: 201 }, (_, i) => `u${i}`)), {
    code: 'invalid_frame',
  });
});

test('L5: a signal that was refused for now is sent again', () => {
  const { client, clock, socket } = start();
  client.watch(['bob']);
  client.markRead('bob', 3);
  socket.take();
  socket.says({ type: 'error', code: 'rate_limited', error: 'slow down', retryable: true });
  clock.advance(1_000);
  assert.deepEqual(socket.take(), [
    { type: 'watch', users: ['bob'] },
    { type: 'read', with: 'bob', id: 3 },
  ]);
});

test('L5: what was answered, or never said, is not sent again after a refusal', () => {
  const { client, clock, socket } = start();
  const refused = () => {
    socket.says({ type: 'error', code: 'rate_limited', error: 'slow down', retryable: true });
    clock.advance(1_000);
    return socket.take();
  };
  assert.deepEqual(refused(), []);
  client.watch(['bob']);
  client.markRead('bob', 3);
  socket.take();
  socket.says(
    { type: 'presence', online: [], offline: ['bob'] },
    { type: 'read', user: 'alice', with: 'bob', id: 3 },
  );
  assert.deepEqual(refused(), []);
});
