import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, test } from 'node:test';
import { Tokens } from '../../src/auth/tokens.ts';
import { LIMITS } from '../../src/contract/limits.ts';
import { call, connect, type Frame, newUser, register, TestSocket } from '../support/client.ts';
import { RawConnection, upgradeLines } from '../support/raw.ts';
import { startNode, TEST_SECRET, temporaryFolder } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

/*
 * Every bad frame has one answer: an `error` frame, or a close code (SPEC parts B, K, L and M). After each, the node is well.
 */

const { node, url } = await startNode({ after }, { DATABASE_PATH: `${temporaryFolder({ after })}/chat.db` });
const tokens = {
  ann: await newUser(url, 'ann'),
  bob: await newUser(url, 'bob'),
  forged: (await new Tokens(['another secret of more than thirty-two characters'], 60).issue('ann', 0)).token,
  expired: (await new Tokens([TEST_SECRET], -60).issue('ann', 0)).token,
  nobody: (await new Tokens([TEST_SECRET], 60).issue('nobody', 0)).token,
};
const ann = await connect(url, 'ann', tokens.ann);
after(() => ann.close());
let sends = 0;

/** Begun first and awaited last. */
const silent = Array.from({ length: 4 }, (_, i) => new TestSocket(url, { full: i > 0 }));
const silentSince = Date.now();
const silentClosed = silent.map(async ({ closed }) => ({
  ...(await closed),
  after: Date.now() - silentSince,
}));

async function assertWell(): Promise<void> {
  assert.equal((await call(url, 'GET', '/readyz')).status, 200, node.output);
  const client_id = `well-${++sends}`;
  ann.send({ type: 'message', to: 'bob', message: 'still here', client_id });
  await ann.next((frame) => frame['client_id'] === client_id);
}

const message = (more: Record<string, unknown> = {}) => ({
  type: 'message',
  to: 'bob',
  message: 'hi',
  ...more,
});

/** Frames on a socket that is connected as ann: each is answered by one error, and the socket goes on. */
const frames: readonly (readonly [name: string, frame: unknown, code: string])[] = [
  ['B2: no JSON', 'hello', 'invalid_json'],
  ['B2: nothing', '', 'invalid_json'],
  ['B2: an array', '[]', 'invalid_frame'],
  ['L1: JSON nested 17 deep', `{"a":${'['.repeat(16)}${']'.repeat(16)}}`, 'invalid_json'],
  ['B2: no type', {}, 'invalid_frame'],
  ['B2: an unknown type', { type: 'shout' }, 'unknown_type'],
  ['B2: a type of the server', { type: 'connected' }, 'unknown_type'],
  ['B3: a second connect', { type: 'connect', user_id: 'ann' }, 'already_connected'],
  ['M5: to nobody', message({ to: 'nobody' }), 'unknown_user'],
  ['M5: to an id that only looks like one there is', message({ to: 'bob ' }), 'unknown_user'],
  ['M5: without a receiver', message({ to: undefined }), 'invalid_frame'],
  ['M5: to a lone surrogate', '{"type":"message","to":"\\ud800","message":"hi"}', 'invalid_frame'],
  ['L2: an empty text', message({ message: '' }), 'invalid_message'],
  ['L2: 8,001 units', message({ message: 'x'.repeat(8_001) }), 'invalid_message'],
  ['L2: 8,002 units in 4,001 characters', message({ message: '😀'.repeat(4_001) }), 'invalid_message'],
  ['L2: a lone surrogate', '{"type":"message","to":"bob","message":"\\ud83d"}', 'invalid_message'],
  ['L2: a text that is a number', message({ message: 5 }), 'invalid_message'],
  ['L1: exactly 64 KiB', message({ message: 'x'.repeat(LIMITS.frameBytes - 42) }), 'invalid_message'],
  ['L8: a client_id of 65', message({ client_id: 'x'.repeat(65) }), 'invalid_frame'],
  ['L8: a client_id with a space', message({ client_id: 'a b' }), 'invalid_frame'],
  ['S1: a read mark of -1', { type: 'read', with: 'bob', id: -1 }, 'invalid_frame'],
  [
    'S3: 201 watched users',
    { type: 'watch', users: Array.from({ length: 201 }, (_, i) => `u${i}`) },
    'invalid_frame',
  ],
  ['S2: typing to a number', { type: 'typing', to: 5 }, 'invalid_frame'],
];
for (const [name, frame, code] of frames) {
  test(`${name} → error ${code}`, async () => {
    const socket = await connect(url, 'ann', tokens.ann);
    socket.send(frame);
    const error = await socket.type('error');
    assert.deepEqual(
      [error['code'], typeof error['error'], typeof error['retryable']],
      [code, 'string', 'boolean'],
    );
    socket.send({ type: 'ping' });
    await socket.type('pong');
    assert.equal(socket.frames.filter(({ type }) => type === 'error').length, 1);
    socket.close();
    await assertWell();
  });
}

test('M3, M5: the error of a send names its client_id; another text for one that was used is a conflict', async () => {
  ann.send(message({ client_id: 'once' }));
  await ann.next((frame) => frame['client_id'] === 'once');
  ann.send(message({ client_id: 'once', message: 'other' }));
  const conflict = await ann.next(({ type, code }) => type === 'error' && code === 'client_id_conflict');
  assert.equal(conflict['client_id'], 'once');
  ann.send(message({ client_id: 'empty', message: '' }));
  const invalid = await ann.next((frame) => frame.type === 'error' && frame['client_id'] === 'empty');
  assert.equal(invalid['code'], 'invalid_message');
});

/** First frames that are refused: an error, then the close. */
const connects: readonly (readonly [
  name: string,
  frame: Record<string, unknown>,
  code: string,
  close: number,
])[] = [
  ['A3: no token', { user_id: 'ann' }, 'unauthorized', 4401],
  ['A3: a garbled token', { user_id: 'ann', token: 'a.b.c' }, 'unauthorized', 4401],
  ['A3: a forged token', { user_id: 'ann', token: tokens.forged }, 'unauthorized', 4401],
  ['A3: null for a token', { user_id: 'ann', token: null }, 'unauthorized', 4401],
  ['A3: an empty token', { user_id: 'ann', token: '' }, 'unauthorized', 4401],
  ['A3: a number for a token', { user_id: 'ann', token: 5 }, 'unauthorized', 4401],
  ['A3: a token that is too long', { user_id: 'ann', token: 'x'.repeat(5_000) }, 'unauthorized', 4401],
  ['A3: an expired token', { user_id: 'ann', token: tokens.expired }, 'token_expired', 4401],
  ['A2: the token of another', { user_id: 'ann', token: tokens.bob }, 'forbidden', 4403],
  ['B4: no user_id', { token: tokens.ann }, 'invalid_frame', 4400],
  ['B4: since -1', { user_id: 'ann', token: tokens.ann, since: -1 }, 'invalid_frame', 4400],
  ['B4: since that is a text', { user_id: 'ann', token: tokens.ann, since: '5' }, 'invalid_frame', 4400],
];
for (const full of [true, false]) {
  for (const [name, frame, code, close] of connects) {
    test(`${name} (${full ? 'full' : 'basic'} protocol) → error ${code}, close ${close}`, async () => {
      const socket = new TestSocket(url, { full });
      await socket.opened;
      socket.send({ type: 'connect', ...frame });
      const error = await socket.type('error');
      assert.equal(error['code'], code);
      assert.equal((await socket.closed).code, close);
      const closing = socket.frames.find(({ type }) => type === 'closing');
      if (full) assert.deepEqual([closing?.['code'], closing?.['reconnect_after_ms']], [code, null]);
      else assert.equal(closing, undefined, 'B1: the basic protocol knows no closing frame');
      await assertWell();
    });
  }
}

test('A3: the token of a user who is not there any more → close 4401 or 4404', async () => {
  const socket = new TestSocket(url);
  await socket.opened;
  socket.send({ type: 'connect', user_id: 'nobody', token: tokens.nobody });
  assert.ok([4401, 4404].includes((await socket.closed).code));
});

test('A1: a token in the query of the upgrade is not looked at', async () => {
  const socket = new TestSocket(url);
  socket.ws.terminate();
  const raw = new RawConnection(url);
  raw.send(...upgradeLines({}, `GET /ws?token=${tokens.ann} HTTP/1.1`));
  await waitFor(
    () => raw.said.includes('101'),
    2_000,
    () => raw.said,
  );
  raw.socket.write(maskedFrame(0x81, Buffer.from('{"type":"connect","user_id":"ann"}')));
  await waitFor(
    () => raw.said.includes('unauthorized'),
    2_000,
    () => raw.said,
  );
  raw.socket.destroy();
});

test('A2: a token in the header is for the user of the connect frame, or nobody', async () => {
  const socket = new TestSocket(url, { headers: { Authorization: `Bearer ${tokens.bob}` } });
  await socket.opened;
  socket.send({ type: 'connect', user_id: 'ann', token: tokens.ann });
  assert.equal((await socket.closed).code, 4403);
});

test('B3: a frame before connect → error not_connected, and a connect still counts', async () => {
  for (const full of [true, false]) {
    const socket = new TestSocket(url, { full });
    await socket.opened;
    socket.send(message({ client_id: 'early' }));
    const error = await socket.type('error');
    assert.deepEqual([error['code'], error['client_id']], ['not_connected', 'early']);
    socket.send({ type: 'connect', user_id: 'ann', token: tokens.ann });
    socket.send(message({ client_id: `late ${full}`.replace(' ', '-') }));
    await socket.next((frame) => frame['client_id'] === `late-${full}`);
    socket.close();
  }
  await assertWell();
});

test('B1: in the basic protocol frames of the full one are unknown', async () => {
  const socket = new TestSocket(url, { full: false });
  await socket.opened;
  socket.send({ type: 'connect', user_id: 'ann', token: tokens.ann });
  socket.send({ type: 'ping' });
  assert.equal((await socket.type('error'))['code'], 'unknown_type');
  assert.deepEqual(new Set(socket.frames.map(({ type }) => type)), new Set(['error']));
  socket.close();
});

/** A client's frame: FIN and opcode as given, masked by zeros. */
function maskedFrame(first: number, payload: Buffer, masked = true): Buffer {
  const { length } = payload;
  const mask = masked ? 0x80 : 0;
  const head =
    length < 126
      ? Buffer.from([first, mask | length])
      : length < 65_536
        ? Buffer.from([first, mask | 126, length >> 8, length & 0xff])
        : Buffer.concat([
            Buffer.from([first, mask | 127, 0, 0, 0, 0]),
            Buffer.from(new Uint32Array([length]).buffer).swap32(),
          ]);
  return Buffer.concat([head, Buffer.alloc(masked ? 4 : 0), payload]);
}
const text = (payload: string): Buffer => Buffer.from(payload);

const broken: readonly (readonly [name: string, bytes: () => Buffer, close: number])[] = [
  ['K4: a binary frame', () => maskedFrame(0x82, text('{"type":"ping"}')), 1003],
  ['L1: 64 KiB and one byte', () => maskedFrame(0x81, Buffer.alloc(LIMITS.frameBytes + 1, 'x')), 1009],
  [
    'L1: 65 KiB in fragments',
    () =>
      Buffer.concat([
        maskedFrame(0x01, Buffer.alloc(40_000, 'x')),
        maskedFrame(0x80, Buffer.alloc(26_000, 'x')),
      ]),
    1009,
  ],
  [
    'L1: a message in hundreds of fragments',
    () => Buffer.concat([maskedFrame(0x01, text('x')), ...Array(400).fill(maskedFrame(0x00, text('x')))]),
    1008,
  ],
  ['a frame that is not masked', () => maskedFrame(0x81, text('{"type":"ping"}'), false), 1002],
  ['a frame of an unknown kind', () => maskedFrame(0x83, text('x')), 1002],
  ['a compressed frame nobody agreed on', () => maskedFrame(0xc1, text('x')), 1002],
  ['a continuation of nothing', () => maskedFrame(0x80, text('x')), 1002],
  ['a ping of 126 bytes', () => maskedFrame(0x89, Buffer.alloc(126)), 1002],
  ['text that is no UTF-8', () => maskedFrame(0x81, Buffer.from([0xff, 0xfe])), 1007],
];
for (const [name, bytes, close] of broken) {
  test(`${name} → close ${close}`, async () => {
    const socket = await connect(url, 'ann', tokens.ann);
    const { _socket: tcp } = socket.ws as unknown as { _socket: { write(bytes: Buffer): void } };
    tcp.write(bytes());
    assert.equal((await socket.closed).code, close);
    await assertWell();
  });
}

test('B2: a frame in fragments is a frame', async () => {
  const socket = await connect(url, 'ann', tokens.ann);
  const { _socket: tcp } = socket.ws as unknown as { _socket: { write(bytes: Buffer): void } };
  tcp.write(
    Buffer.concat([
      maskedFrame(0x01, text('{"type":')),
      maskedFrame(0x89, text('')),
      maskedFrame(0x80, text('"ping"}')),
    ]),
  );
  await socket.type('pong');
  socket.close();
});

test('L5: the 21st socket of a user → error too_many_sockets, close 4430; when one goes, another may come', async () => {
  const token = await newUser(url, 'zoe');
  const open = await Promise.all(Array.from({ length: 20 }, () => connect(url, 'zoe', token)));
  const last = new TestSocket(url);
  await last.opened;
  last.send({ type: 'connect', user_id: 'zoe', token });
  assert.equal((await last.type('error'))['code'], 'too_many_sockets');
  assert.equal((await last.closed).code, 4430);
  open[0]?.close();
  await open[0]?.closed;
  const again = await connect(url, 'zoe', token);
  for (const socket of [...open, again]) socket.close();
  await assertWell();
});

test('L5: more than 1,000 unanswered sends → error overloaded with the client_id; the others are answered', async () => {
  const socket = await connect(url, 'ann', tokens.ann);
  const before = sends;
  for (let i = 0; i < 1_500; i++) socket.send(message({ client_id: `flood-${before}-${i}` }));
  const answered = (frame: Frame): boolean => String(frame['client_id']).startsWith(`flood-${before}-`);
  await waitFor(
    () => new Set(socket.frames.filter(answered).map((frame) => frame['client_id'])).size === 1_500,
    10_000,
    () => `${socket.frames.filter(answered).length} answers`,
  );
  for (const { type, code } of socket.frames.filter(answered))
    assert.ok(type === 'message' || code === 'overloaded');
  socket.close();
  await assertWell();
});

test('L6: who reads what comes is not slow, however much comes at once: 300 long texts in flight are all echoed', async () => {
  const socket = await connect(url, 'len', await newUser(url, 'len'));
  for (let i = 0; i < 300; i++)
    socket.send(message({ to: 'len', client_id: `long-${i}`, message: 'x'.repeat(8_000) }));
  const echoes = (): number =>
    socket.frames.filter((frame) => /^long-/.test(String(frame['client_id']))).length;
  let code = 0;
  void socket.closed.then((closed) => {
    ({ code } = closed);
  });
  await waitFor(
    () => echoes() === 300 || code !== 0,
    10_000,
    () => `${echoes()} echoes`,
  );
  assert.deepEqual([echoes(), code], [300, 0]);
  socket.close();
});

test('L5: a socket that closes while its connect is being answered does not count for ever', async () => {
  const token = await newUser(url, 'dan');
  for (let i = 0; i < LIMITS.socketsPerUser + 5; i++) {
    const socket = new TestSocket(url);
    await socket.opened;
    // Both arrive at once: the second frame closes the socket before the token of the first has been checked.
    const tcp = Reflect.get(socket.ws, '_socket') as Socket;
    tcp.cork();
    socket.send({ type: 'connect', user_id: 'dan', token });
    socket.send(Buffer.from('x'));
    tcp.uncork();
    assert.equal((await socket.closed).code, 1003);
  }
  (await connect(url, 'dan', token)).close();
});

test('L9: a socket that sends bad frames for ever is closed with 4400', async () => {
  const socket = await connect(url, 'ann', tokens.ann);
  for (let i = 0; i < 200; i++) socket.send('rubbish');
  assert.equal((await socket.closed).code, 4400);
  await assertWell();
});

test('L9: so is one that sends frames for ever and does not connect', async () => {
  const socket = new TestSocket(url);
  await socket.opened;
  for (let i = 0; i < 200; i++) socket.send(message());
  assert.equal((await socket.closed).code, 4400);
  assert.equal(socket.frames.filter(({ code }) => code === 'not_connected').length, LIMITS.invalidFrames + 1);
  await assertWell();
});

test('B3: no connect within 5 s → error connect_timeout, close 4408; K3: clients are told to come back at different times', async () => {
  const closes = await Promise.all(silentClosed);
  // Nothing else would ever end them; the bound is for a busy machine.
  for (const { after: ms } of closes) assert.ok(ms > 4_500 && ms < 30_000, `${ms} ms`);
  for (const { code } of closes) assert.equal(code, 4408);
  for (const socket of silent) assert.equal(socket.frames[0]?.['code'], 'connect_timeout');
  const delays = silent
    .slice(1)
    .map(({ frames: got }) => got.find(({ type }) => type === 'closing')?.['reconnect_after_ms']);
  assert.ok(delays.every((delay) => typeof delay === 'number'));
  assert.ok(new Set(delays).size > 1, `reconnect_after_ms is not jittered: ${delays}`);
  await assertWell();
});

test('nothing of this ended a worker, was logged as unexpected, or put a secret into the log', async () => {
  await register(url, 'eve');
  for (const event of ['worker_ended', 'unexpected error', '"stack"', tokens.ann, 'still here'])
    assert.ok(!node.output.includes(event), event);
});
