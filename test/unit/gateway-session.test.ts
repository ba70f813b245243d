import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLOSE } from '../../src/contract/errors.ts';
import { LIMITS } from '../../src/contract/limits.ts';
import type { Outcome } from '../../src/core/commands.ts';
import { Turns } from '../../src/gateway/turns.ts';
import type { FakeClient } from '../support/gateway-fixture.ts';
import { settle } from '../support/scripted-bus.ts';
import {
  messageText,
  NO_DATA,
  PAGE,
  REPEAT,
  type SessionFixtureOptions,
  sessionFixture,
} from '../support/session-fixture.ts';

const NOTHING = { sockets: 0, members: 0, channels: [], timers: 0 };

test('K1: a socket whose peer is silent is pinged at 25 and 50 s, ended at 75, and leaves nothing behind', async () => {
  const { client, beat, pings, left } = await sessionFixture();
  await beat();
  await beat();
  assert.equal(pings(), 2);
  assert.equal(client.open, true);
  await beat();
  assert.equal(client.ws.closed, 1006);
  assert.deepEqual(left(), NOTHING);
});

for (const [what, live] of [
  ['answers pings', (client: FakeClient) => client.ws.emit('pong', NO_DATA)],
  ["sends pings of WebSocket's own", (client: FakeClient) => client.ws.emit('ping', NO_DATA)],
  ['sends frames', (client: FakeClient) => client.send({ type: 'ping' })],
] as const) {
  test(`K1: a socket whose peer ${what} stays`, async () => {
    const { client, clock, session } = await sessionFixture();
    for (let passed = 0; passed < 200_000; passed += 5_000) {
      clock.advance(5_000);
      if (passed % 20_000 === 0) live(client);
      session.heartbeat(clock.steady());
    }
    await settle();
    assert.equal(client.open, true);
  });
}

test('G9, A3: a live socket ends with its token, to the second, and says why', async () => {
  const { client, clock, beat, errors, left } = await sessionFixture({ tokenS: 60 });
  // Node's reach 24 days, and end at once beyond.
  assert.equal(left().timers, 0, 'a timer for what is far off');
  for (let i = 0; i < 2; i++) {
    client.send({ type: 'ping' });
    await beat();
  }
  clock.advance(9_900);
  client.send({ type: 'ping' });
  assert.equal(client.open, true, 'not before');
  clock.advance(200);
  await settle();
  assert.deepEqual(errors(), ['token_expired']);
  assert.equal(client.ws.closed, CLOSE.unauthorized.code);
  assert.deepEqual(left(), NOTHING);
});

test('G9, A3: a token that has ended when the socket is connected reads and sends nothing', async () => {
  const sent: unknown[] = [];
  const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
  const fixture = await sessionFixture({ tokenS: 3, answered, submit: (command) => sent.push(command) });
  fixture.client.send({ type: 'message', to: 'bob', message: 'too late' });
  fixture.clock.advance(3_000);
  answer();
  await settle();
  assert.deepEqual(fixture.errors(), ['token_expired']);
  assert.deepEqual([fixture.ofType('connected'), sent], [[], []]);
  assert.equal(fixture.client.ws.closed, CLOSE.unauthorized.code);
  assert.deepEqual(fixture.left(), NOTHING);
});

test('G9, A3: a token that ends before the first heartbeat ends its socket, too; a socket that went before leaves no timer', async () => {
  const { client, clock, errors } = await sessionFixture({ tokenS: 10 });
  clock.advance(9_900);
  assert.equal(client.open, true);
  clock.advance(200);
  assert.deepEqual([errors(), client.ws.closed], [['token_expired'], CLOSE.unauthorized.code]);
  const gone = await sessionFixture({ tokenS: 10 });
  gone.client.ws.close(1000);
  await settle();
  assert.deepEqual(gone.left(), NOTHING);
});

test('A5: a socket whose token was ended is told so, and closed with 4401', async () => {
  const { client, session, errors } = await sessionFixture();
  session.revoked();
  assert.deepEqual([errors(), client.ws.closed], [['token_revoked'], CLOSE.unauthorized.code]);
});

test('S3: the answer to a watch names everybody once; the next watch replaces the set', async () => {
  const { client, comes, ofType } = await sessionFixture();
  client.send({ type: 'watch', users: ['bob', 'eve', 'bob'] });
  await settle();
  assert.deepEqual(ofType('presence'), [{ type: 'presence', online: [], offline: ['bob', 'eve'] }]);
  client.send({ type: 'watch', users: ['eve'] });
  assert.deepEqual([comes('bob'), comes('eve')], [false, true]);
  await settle();
  assert.deepEqual(ofType('presence').at(-1), { type: 'presence', online: ['eve'], offline: [] });
});

test('L5, M5, L9: a send over the rate is refused by its client_id, a long one without; neither counts as a bad frame', async () => {
  const { client, clock, ofType } = await sessionFixture({ frames: LIMITS.framesBurst - 1 });
  for (let seconds = 0; seconds < 4; seconds++) {
    const before = ofType('error').length;
    client.send({ type: 'message', to: 'bob', message: 'x', client_id: 'c1' });
    client.send({ type: 'message', to: 'bob', message: 'x'.repeat(4_100), client_id: 'c2' });
    for (let i = 0; i < 38; i++) client.send({ type: 'ping' });
    await settle();
    const refused = ofType('error').slice(before);
    assert.deepEqual(new Set(refused.map(({ code }) => code)), new Set(['rate_limited']));
    assert.deepEqual(
      refused.map(({ client_id }) => client_id),
      ['c1', ...Array(39).fill(undefined)],
    );
    clock.advance(1_000);
    for (let i = 0; i < LIMITS.framesPerSecond; i++) client.ws.emit('pong', NO_DATA);
  }
  assert.equal(client.open, true);
});

test('RATE_LIMITS=off: frames are answered, however many and however long', async () => {
  const { client, errors, ofType } = await sessionFixture({ rateLimits: false });
  for (let i = 0; i < 2 * LIMITS.framesBurst; i++) client.send({ type: 'ping', more: 'x'.repeat(4_100) });
  await settle();
  assert.deepEqual([ofType('pong').length, errors()], [2 * LIMITS.framesBurst, []]);
});

test('L5, S3: a watch of many counts as more than one frame: it costs as much', async () => {
  const idle = await sessionFixture();
  const users = Array.from({ length: LIMITS.watchedUsers }, (_, i) => `user-${i}`);
  for (const [count, cost] of [
    [0, 2],
    [100, 2],
    [101, 3],
  ] as const) {
    idle.clock.advance(10_000);
    const before = idle.ofType('presence').length;
    for (let i = 0; i < LIMITS.framesBurst / cost + 10; i++)
      idle.client.send({ type: 'watch', users: users.slice(0, count) });
    await settle();
    const answered = idle.ofType('presence').length - before;
    assert.equal(answered, Math.floor(LIMITS.framesBurst / cost), `${count} users`);
  }
  const { client, ofType, errors } = await sessionFixture();
  const most = Math.floor(LIMITS.framesBurst / 3);
  for (let i = 0; i < most + 10; i++) client.send({ type: 'watch', users });
  await settle();
  assert.deepEqual([ofType('presence').length, new Set(errors())], [most, new Set(['rate_limited'])]);
  assert.equal(client.open, true);
  for (let i = 0; i < 100; i++) client.send({ type: 'watch', users });
  await settle();
  assert.equal(client.ws.closed, CLOSE.rateLimited.code);
});

test('a frame for a client that has begun to close is not sent', async () => {
  const { client, session } = await sessionFixture();
  const before = client.ws.frames.length;
  Object.defineProperty(client.ws, 'readyState', { value: 2 });
  session.signal('{"type":"typing","from":"bob"}');
  await settle();
  assert.equal(client.ws.frames.length, before);
});

test('L6: a socket with more than 1 MiB unsent is closed with 4431, one with as much is not', async () => {
  const { client, session, overflows } = await sessionFixture();
  let unsent: number = LIMITS.unsentBytes;
  Object.defineProperty(client.ws, 'bufferedAmount', { get: () => unsent });
  session.signal('{"type":"typing","from":"bob"}');
  assert.equal(client.open, true);
  unsent++;
  session.signal('{"type":"typing","from":"bob"}');
  assert.equal(client.ws.closed, CLOSE.slowConsumer.code);
  assert.deepEqual(overflows, ['unsent']);
});

test('L6: a socket that is closed over the answer to its connect stays so, and what waited for that is not sent', async () => {
  const sent: unknown[] = [];
  const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
  const { client, left, ofType } = await sessionFixture({
    answered,
    submit: (command) => sent.push(command),
  });
  client.send({ type: 'message', to: 'bob', message: 'hi' });
  Object.assign(client.ws, { bufferedAmount: LIMITS.unsentBytes + 1 });
  answer();
  await settle();
  assert.equal(client.ws.closed, CLOSE.slowConsumer.code);
  assert.deepEqual([ofType('connected'), sent, left()], [[], [], NOTHING]);
});

test('L6, G6: what a socket gets within one turn has had no chance to leave: it may be 16 MiB, and costs no other its own', async () => {
  const { client, session, overflows } = await sessionFixture({ unsentMax: 1_000 });
  const frame = '12345678'; // 10 bytes, with its header.
  let unsent: number = 16 * LIMITS.unsentBytes - 10;
  Object.defineProperty(client.ws, 'bufferedAmount', { get: () => unsent });
  Object.defineProperty(client.ws._socket, 'writableCorked', { value: 1 });
  session.signal(frame);
  assert.deepEqual([client.open, overflows], [true, []]);
  unsent++;
  session.signal(frame);
  assert.deepEqual([client.ws.closed, overflows], [CLOSE.slowConsumer.code, ['unsent']]);
});

test('L6, G6: where sockets have more unsent together than a gateway keeps, whoever has been behind the longest is closed', async () => {
  const first = await sessionFixture({ unsentMax: 2_500 });
  const on = first.gateway;
  const fixtures = [
    first,
    await sessionFixture({ on }),
    await sessionFixture({ on }),
    await sessionFixture({ on }),
  ];
  const unsent = [1_000, 1_000, 1_000, 500];
  for (const [i, { client }] of fixtures.entries())
    Object.defineProperty(client.ws, 'bufferedAmount', { get: () => unsent[i] });
  const codes = (): unknown[] => fixtures.map(({ client }) => client.ws.closed);
  const { code } = CLOSE.slowConsumer;
  const none = undefined;
  for (const { session } of fixtures.slice(0, 2)) session.signal('{}');
  // What has left meanwhile is nobody's fault.
  unsent[0] = 0;
  fixtures[2]?.session.signal('{}');
  assert.deepEqual(codes(), [none, none, none, none]);
  // One that came in a single turn is seen by the heartbeat.
  await fixtures[3]?.beat();
  assert.deepEqual(codes(), [none, code, none, none]);
  assert.deepEqual(fixtures[1]?.overflows, ['unsent']);
  // Who has left does not count any more, and neither does who has sent all.
  fixtures[3]?.client.ws.close(1000);
  await settle();
  unsent[2] = 0;
  await fixtures[2]?.beat();
  unsent[0] = 2_400;
  first.session.signal('{}');
  assert.deepEqual(codes(), [none, code, none, 1000]);
  // Who has little left is not closed for what it had.
  unsent[0] = 10;
  unsent[2] = 1_000;
  fixtures[2]?.session.signal('{}');
  assert.deepEqual(codes(), [none, code, none, 1000]);
  assert.deepEqual(fixtures[3]?.overflows, []);
});

test('L6: a socket that is closed over its own frame, to make room for others, does not get it behind the close', async () => {
  const { client, session } = await sessionFixture({ unsentMax: 1_000 });
  Object.assign(client.ws, { bufferedAmount: 1_001 });
  session.signal('{"type":"typing","from":"bob"}');
  await settle();
  assert.deepEqual(
    [client.ws.closed, client.ws.frames.map(({ type }) => type)],
    [CLOSE.slowConsumer.code, ['connected']],
  );
});

test('L6, G6: a page of catch-up that is not taken counts among what sockets have unsent', async () => {
  const { gateway: on, ...slow } = await sessionFixture({ unsentMax: 1_000 });
  Object.defineProperty(slow.client.ws, 'bufferedAmount', { value: 900 });
  const page = { ...PAGE, ids: [1], frames: ['{}'], upto: 1, head: 9, more: true };
  const other = await sessionFixture({ on, since: 0, connects: false, page });
  other.client.ws.send = () => Object.assign(other.client.ws, { bufferedAmount: 200 });
  slow.session.signal('{}');
  other.client.connect();
  await settle();
  assert.equal(slow.client.ws.closed, CLOSE.slowConsumer.code);
});

test('L6, R1: a page with a picture of the old chat app’s, longer than what may be unsent, closes no socket with what comes behind it', async () => {
  const long = messageText(1).padEnd(3 * LIMITS.unsentBytes);
  const { client, ofType } = await sessionFixture({
    since: 0,
    connects: false,
    answer: ({ since }) =>
      since === 0 ? { ...PAGE, ids: [1], frames: [long], upto: 1, head: 1 } : { ...PAGE, upto: 1, head: 1 },
  });
  let left = (): void => {};
  client.ws.send = (text: string, done: () => void) => {
    client.ws.frames.push(JSON.parse(text));
    Object.assign(client.ws, { bufferedAmount: text.length });
    left = done;
  };
  client.connect();
  await settle();
  client.send({ type: 'ping' });
  await settle();
  assert.deepEqual([ofType('pong').length, client.open], [1, true]);
  // The last page comes once it has left: live messages behind it would find as much unsent.
  const pages = (): unknown[] => ofType('page').map(({ messages, more }) => [(messages as []).length, more]);
  assert.deepEqual(pages(), [[1, true]]);
  Object.assign(client.ws, { bufferedAmount: 0 });
  left();
  await settle();
  assert.deepEqual(pages(), [
    [1, true],
    [0, false],
  ]);
  // What holds for a page holds no longer.
  Object.assign(client.ws, { bufferedAmount: LIMITS.unsentBytes + 1 });
  client.send({ type: 'ping' });
  assert.equal(client.ws.closed, CLOSE.slowConsumer.code);
});

test('K3: a slow consumer gets no notice, and is dropped after a second if it does not answer the close', async () => {
  const { client, clock, ofType } = await sessionFixture();
  let dropped = 0;
  client.ws.terminate = () => dropped++;
  client.ws.close = () => {};
  Object.assign(client.ws, { bufferedAmount: LIMITS.unsentBytes + 1 });
  client.send({ type: 'ping' });
  clock.advance(900);
  assert.equal(dropped, 0);
  clock.advance(200);
  await settle();
  assert.deepEqual([dropped, ofType('closing')], [1, []]);
});

test('S2, G6: however often a socket says that its user is typing, one in 100 ms is passed on', async () => {
  const { client, clock, signals } = await sessionFixture();
  const type = (to: string): void => {
    client.send({ type: 'typing', to });
  };
  for (let i = 0; i < 50; i++) type('bob');
  type('carol');
  const bob = ['bob', { type: 'typing', from: 'ann' }];
  assert.deepEqual(signals, [bob]);
  clock.advance(LIMITS.typingMs);
  type('carol');
  type('bob');
  assert.deepEqual(signals, [bob, ['carol', { type: 'typing', from: 'ann' }]]);
});

test('G6: a peer that does not answer the close is dropped after 5 s; one that does is let be', async () => {
  for (const answers of [false, true]) {
    const { client, clock, session } = await sessionFixture();
    let dropped = 0;
    client.ws.terminate = () => dropped++;
    client.ws.close = () => {
      if (answers) setImmediate(() => client.ws.emit('close'));
    };
    session.revoked();
    await settle();
    clock.advance(4_900);
    assert.equal(dropped, 0);
    clock.advance(200);
    assert.equal(dropped, answers ? 0 : 1);
  }
});

test('L5, G6: what is sent behind a connect that is not answered waits up to 1 MiB, and is then refused', async () => {
  const { client, errors } = await sessionFixture({ answered: new Promise(() => {}) });
  const frame = { type: 'message', to: 'bob', message: 'x'.repeat(LIMITS.messageUnits) };
  const fits = Math.floor(LIMITS.queuedBytes / JSON.stringify(frame).length);
  for (let i = 0; i < fits; i++) client.send(frame);
  assert.deepEqual(errors(), []);
  client.send(frame);
  assert.deepEqual(errors(), ['overloaded']);
  assert.equal(client.open, true);
});

test('S3, G6: a socket that closes while it is catching up is not counted any more', async () => {
  const { client, left } = await sessionFixture({
    since: 0,
    page: { ...PAGE, ids: [1], frames: ['{}'], upto: 1, head: 9, more: true },
  });
  assert.equal(left().sockets, 1);
  client.ws.close(1000);
  await settle();
  assert.deepEqual(left(), NOTHING);
});

test('L6, G6: a watch whose answer is one too many for a slow socket closes it, and is not kept', async () => {
  const { client, overflows, comes } = await sessionFixture();
  client.send({ type: 'watch', users: ['bob'] });
  assert.equal(comes('bob'), true);
  Object.assign(client.ws, { bufferedAmount: LIMITS.unsentBytes + 1 });
  client.send({ type: 'watch', users: ['eve'] });
  assert.deepEqual([overflows, client.ws.closed], [['unsent'], CLOSE.slowConsumer.code]);
  assert.equal(comes('eve'), false);
});

test('L6, G6: a repeat that is told of when its socket has been closed already counts among what nobody has unsent', async () => {
  const submitted: ((outcome: Outcome) => void)[] = [];
  const submit: SessionFixtureOptions['submit'] = (_, settle) => submitted.push(settle);
  const { gateway: on, ...gone } = await sessionFixture({ unsentMax: 1_000, submit });
  gone.client.send({ type: 'message', to: 'bob', message: 'hi', client_id: 'c1' });
  Object.assign(gone.client.ws, { bufferedAmount: 900 });
  gone.client.ws.close(1000);
  await settle();
  for (const told of submitted) told({ kind: 'repeat', frame: REPEAT });
  const other = await sessionFixture({ on });
  Object.assign(other.client.ws, { bufferedAmount: 200 });
  other.session.signal('{}');
  assert.deepEqual([submitted.length, gone.overflows, other.client.open], [1, [], true]);
});

test('G6, R1: a client that begins to close while it is catching up gets no more pages, and none is counted as unsent', async () => {
  const { client, asked } = await sessionFixture({
    since: 0,
    // Twenty pages in all.
    answer: ({ since = 0 }) => ({
      ...PAGE,
      ids: [since + 1],
      frames: ['{}'],
      upto: since + 1,
      more: since < 20,
    }),
  });
  const before = asked.length;
  Object.defineProperty(client.ws, 'readyState', { value: 2 });
  await settle(100);
  assert.ok(asked.length <= before + 1, `the store was asked ${asked.length - before} times more`);
});

test('G9: a socket whose token turns out to be revoked in a repair gets no message of it', async () => {
  let page = PAGE;
  const { gateway, client, ofType } = await sessionFixture({ answer: () => page });
  page = { ...PAGE, tokens: ['revoked'], ids: [1], frames: [messageText(1)], upto: 1, head: 1 };
  gateway.feeds.resync();
  await settle();
  assert.deepEqual([client.ws.closed, ofType('message')], [CLOSE.unauthorized.code, []]);
});

test('M3, M4: a repeat is told to a client that chose the client_id, and not where the gateway did', async () => {
  const { client } = await sessionFixture();
  const repeats = (): number => client.ws.frames.filter(({ repeat }) => repeat === true).length;
  client.send({ type: 'message', to: 'bob', message: 'hi' });
  assert.equal(repeats(), 0);
  client.send({ type: 'message', to: 'bob', message: 'hi', client_id: 'c1' });
  assert.equal(repeats(), 1);
});

test('B4, K3: a connect beyond the rate is refused for that: 4429, and the client is told when to come back', async () => {
  const { client, errors } = await sessionFixture({ frames: LIMITS.framesBurst });
  assert.equal(errors().at(-1), 'rate_limited');
  assert.equal(client.ws.closed, CLOSE.rateLimited.code);
  const closing = client.ws.frames.at(-1);
  assert.deepEqual([closing?.type, typeof closing?.['reconnect_after_ms']], ['closing', 'number']);
});

for (const kind of ['ping', 'pong']) {
  test(`L5: WebSocket ${kind}s count as frames: who sends too many is closed with 4429 and not read any more`, async () => {
    const { client, clock, errors } = await sessionFixture();
    let dropped = 0;
    client.ws.terminate = () => dropped++;
    client.ws.close = (code) => {
      client.ws.closed ??= code;
    };
    const send = (times: number): void => {
      for (let i = 0; i < times; i++) client.ws.emit(kind, NO_DATA);
    };
    send(LIMITS.framesBurst);
    assert.equal(client.open, true);
    send(LIMITS.framesBurst);
    assert.deepEqual(errors(), ['rate_limited']);
    assert.deepEqual([client.ws.closed, client.ws.paused], [CLOSE.rateLimited.code, true]);
    clock.advance(1_000);
    assert.equal(dropped, 1, 'its answer to the close may be among what is not read');
  });
}

test('G6, L5: a socket that is being closed for something else is not read for ever, either', async () => {
  const { client, session } = await sessionFixture();
  client.ws.close = () => {};
  session.revoked();
  for (let i = 0; i < 2 * LIMITS.framesBurst; i++) client.send({ type: 'ping' });
  assert.equal(client.ws.paused, true);
});

test('B4, G6: a connect whose subscription does not come into force is refused after 8 s, and nothing is left of it', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { client, clock, errors, asked, left } = await sessionFixture({ subscribed: promise });
  clock.advance(7_900);
  assert.equal(client.open, true);
  clock.advance(200);
  assert.deepEqual(errors(), ['unavailable']);
  assert.equal(client.ws.closed, CLOSE.tryLater.code);
  await settle();
  assert.deepEqual(left(), NOTHING);
  resolve();
  await settle();
  assert.equal(asked.length, 0);
});

test('G6: a socket that is gone before its user is known joins nothing: nobody would take it out again', async () => {
  const { client, asked, left } = await sessionFixture({ connects: false });
  client.connect();
  client.ws.emit('close');
  await settle();
  assert.deepEqual(left(), NOTHING);
  assert.equal(asked.length, 0);
});

test('L10, G6: a connect is answered in its user’s turn, which it keeps until the store has answered, though the socket has left', async () => {
  const turns = new Turns();
  const { promise: answered, resolve } = Promise.withResolvers<void>();
  const sockets = await Promise.all(
    Array.from({ length: LIMITS.answersAtOnce }, () => sessionFixture({ since: 0, answered, turns })),
  );
  assert.ok(sockets.every(({ asked }) => asked.length === 1));
  for (const { client } of sockets) client.ws.close(1000);
  const gone = await sessionFixture({ since: 0, turns });
  const next = await sessionFixture({ since: 0, turns });
  gone.client.ws.close(1000);
  await settle();
  assert.equal(next.asked.length, 0);
  resolve();
  await settle();
  assert.equal(next.asked.length, 1);
  assert.equal(gone.asked.length, 0, 'nobody is there to take it');
  assert.deepEqual(gone.left(), NOTHING);
});

test('B4: a connect that was answered is not refused later', async () => {
  const { client, clock, errors } = await sessionFixture();
  clock.advance(10_000);
  assert.deepEqual(errors(), []);
  assert.equal(client.open, true);
});
