import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLOSE, type CloseReason, type ErrorCode, ParleyError } from '../../src/contract/errors.ts';
import { serverFrame } from '../../src/contract/frames.ts';
import { LIMITS } from '../../src/contract/limits.ts';
import type { Command, Outcome } from '../../src/core/commands.ts';
import type { CatchUpPage } from '../../src/core/queries.ts';
import { Turns } from '../../src/gateway/turns.ts';
import type { Frame } from '../support/client.ts';
import { settle } from '../support/scripted-bus.ts';
import { type Asked, messageText, PAGE, sessionFixture } from '../support/session-fixture.ts';

/** A store that tells its messages `most` at a time; more may be committed as it goes. */
class Store {
  readonly ids: number[];
  readonly #most: number;

  constructor(ids: readonly number[], most = 2) {
    this.ids = [...ids];
    this.#most = most;
  }

  readonly answer = ({ since }: Asked): CatchUpPage => {
    const newer = since === undefined ? [] : this.ids.filter((id) => id > since);
    const ids = newer.slice(0, this.#most);
    const more = newer.length > ids.length;
    const head = this.ids.at(-1) ?? 0;
    const upto = more ? (ids.at(-1) as number) : head;
    return { ...PAGE, ids, frames: ids.map(messageText), upto, head, more };
  };
}

/** What a client makes of its frames: ids alone, those of pages in brackets. */
const story = (frames: readonly Frame[]): unknown[] =>
  frames.map((frame) => {
    if (frame.type === 'page')
      return [
        (frame['messages'] as { id: number }[]).map(({ id }) => id),
        frame['upto'],
        frame['more'] ? 'more' : 'last',
      ];
    return frame.type === 'message' ? frame['id'] : frame.type;
  });

test('B5: connected says who and where one is, and what holds here; live messages follow, with ids above head', async () => {
  const { client, event } = await sessionFixture({ page: { ...PAGE, head: 7 } });
  event(5, 6, 7);
  event(7, 8);
  const [connected, ...rest] = client.ws.frames;
  assert.deepEqual(connected, {
    type: 'connected',
    user_id: 'ann',
    epoch: 'e',
    head: 7,
    resync: false,
    heartbeat_ms: LIMITS.heartbeatMs,
    limits: {
      message_units: LIMITS.messageUnits,
      frame_bytes: LIMITS.frameBytes,
      unanswered: LIMITS.unansweredPerSocket,
    },
  });
  assert.ok(serverFrame.safeParse(connected).success);
  assert.deepEqual(story(rest), [8]);
});

test('B5, M4: what comes to the user’s other sockets while the store is asked is below the head of the new one', async () => {
  const first = await sessionFixture({ page: { ...PAGE, head: 5 } });
  const answered = Promise.withResolvers<void>();
  const second = await sessionFixture({
    on: first.gateway,
    answered: answered.promise,
  });
  first.event(5, 6); // Committed after the store was read for the second.
  answered.resolve();
  await settle();
  first.event(6, 7);
  assert.deepEqual(story(first.client.ws.frames), ['connected', 6, 7]);
  assert.deepEqual(story(second.client.ws.frames), ['connected', 7]);
  assert.equal(second.ofType('connected')[0]?.['head'], 6, 'from there on it has everything');
});

test('B5, M4: head is the newest id of the server also where the user has another socket, whose feed is not so far', async () => {
  const first = await sessionFixture({ page: { ...PAGE, head: 5 } });
  // Others' messages, and 7, whose event is still on its way.
  const second = await sessionFixture({ on: first.gateway, page: { ...PAGE, head: 9 } });
  const other = await sessionFixture({ on: first.gateway, since: 10, page: { ...PAGE, head: 9 } });
  for (const { ofType } of [second, other]) assert.equal(ofType('connected')[0]?.['head'], 9);
  first.event(5, 7);
  first.event(7, 10);
  await settle();
  assert.deepEqual(story(first.client.ws.frames), ['connected', 7, 10]);
  for (const { client } of [second, other]) assert.deepEqual(story(client.ws.frames), ['connected', 10]);
});

test('R1: since yields pages in order, the last one marked, then live messages', async () => {
  const store = new Store([1, 2, 3, 4, 5, 6]);
  const { client, event, asked } = await sessionFixture({ since: 1, answer: store.answer });
  await settle(12);
  event(6, 7);
  assert.deepEqual(story(client.ws.frames), [
    'connected',
    [[2, 3], 3, 'more'],
    [[4, 5], 5, 'more'],
    [[6], 6, 'last'],
    7,
  ]);
  assert.deepEqual(
    asked.map(({ since }) => since),
    [1, 3, 5],
  );
});

test('R1, M4: a socket whose pages went further than its user’s feed gets only what is new to it', async () => {
  const first = await sessionFixture({ page: { ...PAGE, head: 5 } });
  const second = await sessionFixture({ on: first.gateway, since: 5, answer: new Store([6, 7]).answer });
  first.event(5, 6, 7, 8);
  await settle();
  assert.deepEqual(story(first.client.ws.frames), ['connected', 6, 7, 8]);
  assert.deepEqual(story(second.client.ws.frames), ['connected', [[6, 7], 7, 'last'], 8]);
});

test('G4, M4: a delivery that fails at one socket of a user is repaired there, and comes to the others once', async () => {
  const store = new Store([1, 2, 3]);
  const answer = (asked: Asked): CatchUpPage => (asked.since === undefined ? PAGE : store.answer(asked));
  const first = await sessionFixture({ answer });
  const second = await sessionFixture({ on: first.gateway });
  const { deliver } = second.session;
  second.session.deliver = () => {
    throw new Error('a defect of ours');
  };
  assert.throws(() => first.event(0, 1, 2));
  second.session.deliver = deliver;
  first.event(2, 3);
  await settle();
  for (const { client } of [first, second]) assert.deepEqual(story(client.ws.frames), ['connected', 1, 2, 3]);
});

test('R1: there is a page where nothing is new, too', async () => {
  for (const since of [0, 9]) {
    const { client } = await sessionFixture({ since, page: { ...PAGE, upto: 9, head: 9 } });
    assert.deepEqual(story(client.ws.frames), ['connected', [[], 9, 'last']]);
  }
});

test('R1: a message that comes while pages are on their way is in the next page, which there is then, and nowhere else', async () => {
  const store = new Store([1, 2]);
  const first = await sessionFixture({ page: { ...PAGE, head: 2 } });
  const answered = Promise.withResolvers<void>();
  const { client } = await sessionFixture({
    on: first.gateway,
    since: 0,
    answer: store.answer,
    answered: answered.promise,
  });
  store.ids.push(3); // After the page was read.
  first.event(2, 3);
  answered.resolve();
  await settle(8);
  first.event(3, 4);
  assert.deepEqual(story(client.ws.frames), ['connected', [[1, 2], 2, 'more'], [[3], 3, 'last'], 4]);
});

for (const [why, since, epoch] of [
  ['the epoch is another', 3, 'f'],
  ['the epoch is another, without since', undefined, 'f'],
  ['since is above the newest id', 10, 'e'],
  ['since is above the newest id, without an epoch', 10, undefined],
] as const) {
  test(`R3: ${why}: connected says resync, no pages follow, and live messages do`, async () => {
    const page = { ...PAGE, ids: [9], frames: [messageText(9)], upto: 9, head: 9 };
    const { client, event, ofType } = await sessionFixture({
      ...(since !== undefined && { since }),
      more: epoch === undefined ? {} : { epoch },
      page,
    });
    event(9, 10);
    assert.deepEqual(story(client.ws.frames), ['connected', 10]);
    const [connected] = ofType('connected');
    assert.deepEqual([connected?.['resync'], connected?.['head'], connected?.['epoch']], [true, 9, 'e']);
  });
}

test('R3: the same epoch, and the newest id for since, are no resync', async () => {
  const { client, ofType } = await sessionFixture({
    since: 9,
    more: { epoch: 'e' },
    page: { ...PAGE, upto: 9, head: 9 },
  });
  assert.equal(ofType('connected')[0]?.['resync'], false);
  assert.deepEqual(story(client.ws.frames), ['connected', [[], 9, 'last']]);
});

test('B1: the basic protocol gets messages and errors only: no pages, though it gave since, no signals, no notice before the close', async () => {
  const page = { ...PAGE, ids: [1], frames: [messageText(1)], upto: 1, head: 1 };
  const { client, event, session, asked } = await sessionFixture({ full: false, since: 0, page });
  session.signal('{"type":"typing","from":"bob"}');
  event(1, 2);
  session.close('restart', new ParleyError('shutting_down'));
  await settle();
  assert.deepEqual(story(client.ws.frames), [2]);
  assert.deepEqual(
    asked.map(({ since }) => since),
    [undefined],
    'nothing is read for it that it does not get',
  );
});

test('S2, R1: signals come while pages are on their way, messages do not, and nothing to one who is not connected yet', async () => {
  const answered = Promise.withResolvers<void>();
  const { client, session, event } = await sessionFixture({
    since: 0,
    answer: new Store([1, 2, 3]).answer,
    answered: answered.promise,
  });
  session.signal('{"type":"typing","from":"bob"}');
  assert.deepEqual(client.ws.frames, []);
  client.ws.send = (text) => void client.ws.frames.push(JSON.parse(text)); // It never leaves.
  answered.resolve();
  await settle();
  event(3, 4);
  session.signal('{"type":"typing","from":"eve"}');
  await settle();
  assert.deepEqual(story(client.ws.frames), ['connected', [[1, 2], 2, 'more'], 'typing']);
});

/** Sends, as the writer would hear of them, and how to answer them. */
function writer() {
  const commands: Command[] = [];
  const settles: ((outcome: Outcome) => void)[] = [];
  const submit = (command: Command, settles_: (outcome: Outcome) => void): void => {
    commands.push(command);
    settles.push(settles_);
  };
  return { commands, settles, submit };
}

test('B3, M2: frames sent before the connect is answered wait for it, and are taken in their order, before the pages; one without a client_id gets ours', async () => {
  const answered = Promise.withResolvers<void>();
  const { commands, submit } = writer();
  const { client, errors } = await sessionFixture({ since: 0, answered: answered.promise, submit });
  client.send({ type: 'message', to: 'bob', message: 'one', client_id: 'c1' });
  client.send({ type: 'connect', user_id: 'ann' });
  client.send({ type: 'ping' });
  client.send({ type: 'message', to: 'bob', message: 'two' });
  client.send({ type: 'read', with: 'bob', id: 5 });
  await settle();
  assert.deepEqual(commands, []);
  assert.deepEqual(errors(), ['already_connected']);
  answered.resolve();
  await settle();
  assert.deepEqual(commands, [
    { kind: 'send', from: 'ann', to: 'bob', text: 'one', clientId: 'c1' },
    { kind: 'send', from: 'ann', to: 'bob', text: 'two', clientId: 'ours' },
    { kind: 'mark-read', user: 'ann', peer: 'bob', id: 5 },
  ]);
  assert.deepEqual(story(client.ws.frames), ['error', 'connected', 'pong', [[], 0, 'last']]);
});

test('B3: a second connect is refused, valid or not, and the socket goes on', async () => {
  const { client, errors, ofType } = await sessionFixture();
  client.send({ type: 'connect', user_id: 'ann' });
  client.send({ type: 'connect' });
  client.send({ type: 'ping' });
  await settle();
  assert.deepEqual(errors(), ['already_connected', 'invalid_frame']);
  assert.equal(ofType('pong').length, 1, 'K2');
});

test('B3: no connect in 5 s is 4408; one that comes in time has 8 s of its own to be answered', async () => {
  for (const answers of [false, true]) {
    const { client, clock, errors } = await sessionFixture({
      connects: false,
      answered: new Promise(() => {}),
    });
    clock.advance(LIMITS.connectMs - 100);
    assert.equal(client.open, true);
    if (answers) client.connect();
    clock.advance(answers ? 7_900 : 100);
    assert.deepEqual(errors(), answers ? [] : ['connect_timeout']);
    clock.advance(200);
    assert.equal(client.ws.closed, answers ? CLOSE.tryLater.code : CLOSE.connectTimeout.code);
  }
});

const refusals: readonly (readonly [code: ErrorCode, reason: CloseReason])[] = [
  ['unauthorized', 'unauthorized'],
  ['token_expired', 'unauthorized'],
  ['token_revoked', 'unauthorized'],
  ['forbidden', 'forbidden'],
  ['missing_user', 'badRequest'],
  ['unavailable', 'tryLater'],
  ['overloaded', 'tryLater'],
  ['internal', 'tryLater'],
  ['shutting_down', 'restart'],
  ['rate_limited', 'rateLimited'],
];
for (const [code, reason] of refusals) {
  test(`B4, K3: a connect refused as ${code} gets the error, a notice and ${CLOSE[reason].code}`, async () => {
    const { client, ofType, left } = await sessionFixture({ refusal: new ParleyError(code) });
    assert.deepEqual(story(client.ws.frames), ['error', 'closing']);
    const [error] = ofType('error');
    const [closing] = ofType('closing');
    const { retryable } = CLOSE[reason];
    assert.deepEqual([error?.['code'], error?.['retryable']], [code, retryable]);
    assert.equal(closing?.['code'], code);
    const after = closing?.['reconnect_after_ms'];
    const soon = Number(after) >= 500 && Number(after) <= 1_500;
    assert.ok(retryable ? soon : after === null, String(after));
    assert.equal(client.ws.closed, CLOSE[reason].code);
    await settle();
    assert.deepEqual(left(), { sockets: 0, members: 0, channels: [], timers: 0 });
  });
}

for (const [what, page, code, close] of [
  ['an unknown user', { ...PAGE, user: 'unknown' }, 'unknown_user', CLOSE.unknownUser.code],
  [
    'a token that was ended',
    { ...PAGE, tokens: ['valid', 'revoked'] },
    'token_revoked',
    CLOSE.unauthorized.code,
  ],
] as const) {
  test(`B4, A3: the store tells ${what}: ${code}, close ${close}, and nothing is left`, async () => {
    const { client, errors, left, asked, ended } = await sessionFixture({ page });
    assert.deepEqual([errors(), client.ws.closed], [[code], close]);
    assert.deepEqual(ended, code === 'token_revoked' ? ['id'] : []);
    assert.deepEqual(asked, [{ user: 'ann', tokens: [{ tokenId: 'id', version: 0 }] }]);
    await settle();
    assert.deepEqual(left(), { sockets: 0, members: 0, channels: [], timers: 0 });
  });
}

test('B4: a connect that fails for a defect of ours is refused as internal, 1013, and the defect is told', async () => {
  const refusal = new TypeError('a defect');
  const { errors, client, defects } = await sessionFixture({ refusal });
  assert.deepEqual([errors(), client.ws.closed], [['internal'], CLOSE.tryLater.code]);
  assert.deepEqual(defects, [refusal]);
});

test('B4, L5: the 21st socket is refused, whether the others are here or elsewhere, and comes back when a dead gateway’s have gone', async () => {
  const elsewhere = LIMITS.socketsPerUser - 1;
  const last = await sessionFixture({ elsewhere });
  assert.deepEqual(last.errors(), []);
  const beyond = await sessionFixture({ elsewhere: LIMITS.socketsPerUser });
  assert.deepEqual([beyond.errors(), beyond.client.ws.closed], [['too_many_sockets'], 4430]);
  assert.ok(Number(beyond.ofType('closing')[0]?.['reconnect_after_ms']) >= 4_000);
  // Those whose connects are not answered count as well.
  const first = await sessionFixture({ subscribed: new Promise(() => {}) });
  const here = [];
  for (let i = 0; i < LIMITS.socketsPerUser; i++) here.push(await sessionFixture({ on: first.gateway }));
  assert.deepEqual(
    here.flatMap(({ errors }) => errors()),
    ['too_many_sockets'],
  );
});

test('B4, L10: a page beyond the line of a user’s reads: rate_limited, close 4429', async () => {
  const turns = new Turns();
  const taken = LIMITS.answersAtOnce + LIMITS.requestsWaiting;
  for (let i = 0; i < taken; i++) void turns.read('ann', () => new Promise(() => {}));
  const { client, errors } = await sessionFixture({ turns });
  assert.deepEqual([errors(), client.ws.closed], [['rate_limited'], CLOSE.rateLimited.code]);
});

test('L5: behind a connect that is not answered, 1,000 frames wait; one more is refused by its client_id', async () => {
  const { commands, submit } = writer();
  const answered = Promise.withResolvers<void>();
  const { client, ofType } = await sessionFixture({ answered: answered.promise, submit });
  for (let i = 0; i <= LIMITS.unansweredPerSocket; i++)
    client.send({ type: 'message', to: 'bob', message: 'x', client_id: `c${i}` });
  const [error, ...others] = ofType('error');
  assert.deepEqual([error?.['code'], error?.['client_id'], others], ['overloaded', 'c1000', []]);
  answered.resolve();
  await settle();
  assert.equal(commands.length, LIMITS.unansweredPerSocket);
});

test('L5, M5: a user with many sockets has 5,000 sends unanswered at a gateway; what all may have is left to the others', async () => {
  const { commands, settles, submit } = writer();
  const first = await sessionFixture({ submit });
  const sockets = [first];
  for (let i = 0; i < 5; i++) sockets.push(await sessionFixture({ submit, on: first.gateway }));
  for (const { client } of sockets)
    for (let i = 0; i < 900; i++)
      client.send({ type: 'message', to: 'bob', message: 'x', client_id: `c${i}` });
  await settle();
  const refused = sockets.map(({ ofType }) => ofType('error'));
  assert.deepEqual(
    refused.map(({ length }) => length),
    [0, 0, 0, 0, 0, 400],
  );
  assert.deepEqual([refused[5]?.[0]?.['code'], refused[5]?.[0]?.['client_id']], ['overloaded', 'c500']);
  assert.equal(commands.length, 5_000);
  settles[0]?.({ kind: 'done' });
  sockets[5]?.client.send({ type: 'message', to: 'bob', message: 'x', client_id: 'next' });
  assert.equal(commands.length, 5_001);
});

test('L5, M5: the 1,001st unanswered send is refused by its client_id; when one is answered, another may come', async () => {
  const { commands, settles, submit } = writer();
  const { client, ofType } = await sessionFixture({ submit });
  const send = (id: string): void => client.send({ type: 'message', to: 'bob', message: 'x', client_id: id });
  for (let i = 0; i < LIMITS.unansweredPerSocket; i++) send(`c${i}`);
  assert.equal(ofType('error').length, 0);
  send('beyond');
  settles[0]?.({ kind: 'refused', code: 'unknown_user' });
  send('next');
  await settle();
  assert.deepEqual(
    ofType('error').map(({ code, retryable, client_id }) => [code, retryable, client_id]),
    [
      ['overloaded', true, 'beyond'],
      ['unknown_user', false, 'c0'],
    ],
  );
  assert.equal(commands.length, LIMITS.unansweredPerSocket + 1);
});

test('M5, G8: once the gateway drains, a send is refused as shutting_down, and the socket waits for what it sent before', async () => {
  const { settles, submit } = writer();
  const { client, session, gateway, ofType } = await sessionFixture({ submit });
  const send = (id: string): void => client.send({ type: 'message', to: 'bob', message: 'x', client_id: id });
  for (const id of ['c1', 'c2']) send(id);
  gateway.draining = true;
  send('late');
  const [error] = ofType('error');
  assert.deepEqual([error?.['code'], error?.['client_id']], ['shutting_down', 'late']);
  let idle = false;
  void session.idle().then(() => {
    idle = true;
  });
  settles[0]?.({ kind: 'done' });
  await settle();
  assert.equal(idle, false, 'one is not answered yet');
  settles[1]?.({ kind: 'done' });
  await settle();
  assert.equal(idle, true);
});

test('G8: the echo of a settled send that a repair of the feed holds back is waited for', async () => {
  const { settles, submit } = writer();
  const store = new Store([]);
  const { client, session, gateway } = await sessionFixture({ submit, answer: store.answer });
  client.send({ type: 'message', to: 'bob', message: 'x', client_id: 'c1' });
  store.ids.push(1);
  gateway.feeds.resync();
  settles[0]?.({ kind: 'done' });
  await session.idle();
  assert.deepEqual(story(client.ws.frames), ['connected', 1]);
});

test('G8: the echo whose event comes after the result of its send, or is lost, is waited for', async () => {
  const { settles, submit } = writer();
  const store = new Store([]);
  const { client, session } = await sessionFixture({ submit, answer: store.answer });
  client.send({ type: 'message', to: 'bob', message: 'x', client_id: 'c1' });
  const idle = session.idle();
  store.ids.push(1);
  settles[0]?.({ kind: 'done' });
  await idle;
  assert.deepEqual(story(client.ws.frames), ['connected', 1]);
});

test('G8: the echo of what a socket sent while it was catching up, which comes with a page, is waited for; for pages alone, nobody waits', async () => {
  const { settles, submit } = writer();
  const store = new Store([1, 2, 3]);
  const answered = Promise.withResolvers<void>();
  const options = { since: 0, submit, answer: store.answer, answered: answered.promise };
  const { client, session } = await sessionFixture(options);
  const { client: silent, session: silentSession } = await sessionFixture(options);
  let pageTaken = (): void => {};
  for (const { ws } of [client, silent])
    ws.send = (text, done = () => {}) => {
      ws.frames.push(JSON.parse(text));
      if (ws === client.ws) pageTaken = done;
    };
  client.send({ type: 'message', to: 'bob', message: 'x', client_id: 'c1' });
  answered.resolve();
  await settle();
  store.ids.push(4);
  settles[0]?.({ kind: 'done' });
  await silentSession.idle();
  const idle = session.idle();
  pageTaken();
  await idle;
  assert.deepEqual(story(silent.ws.frames), ['connected', [[1, 2], 2, 'more']]);
  assert.deepEqual(story(client.ws.frames), ['connected', [[1, 2], 2, 'more'], [[3, 4], 4, 'last']]);
});

test('G8: the echo of what a socket sent while it was catching up is waited for also if the last page was read just before', async () => {
  const { settles, submit } = writer();
  const store = new Store([1, 2, 3]);
  const answer = (asked: Asked): CatchUpPage => {
    const page = store.answer(asked);
    if (asked.since === 2) store.ids.push(4);
    return page;
  };
  const answered = Promise.withResolvers<void>();
  const options = { since: 0, submit, answer, answered: answered.promise };
  const { client, session } = await sessionFixture(options);
  let pageTaken = (): void => {};
  client.ws.send = (text, done = () => {}) => {
    client.ws.frames.push(JSON.parse(text));
    pageTaken = done;
  };
  client.send({ type: 'message', to: 'bob', message: 'x', client_id: 'c1' });
  answered.resolve();
  await settle();
  settles[0]?.({ kind: 'done' });
  const idle = session.idle();
  pageTaken();
  await idle;
  await settle();
  assert.deepEqual(story(client.ws.frames), ['connected', [[1, 2], 2, 'more'], [[3], 3, 'last'], 4]);
});

test('G8: a socket that has sent nothing, or is lost, or a gateway that drains before a connect, keeps nobody waiting', async () => {
  const { client, session, gateway } = await sessionFixture({ submit: writer().submit });
  let waits = true;
  void session.idle().then(() => {
    waits = false;
  });
  await settle();
  assert.equal(waits, false, 'it has sent nothing');
  client.send({ type: 'message', to: 'bob', message: 'x' });
  const idle = session.idle();
  client.ws.close(1000);
  await idle;
  await session.idle();
  assert.equal(gateway.ended, 1);
  const late = await sessionFixture({ connects: false });
  late.gateway.draining = true;
  late.client.connect();
  await settle();
  assert.deepEqual([late.errors(), late.client.ws.closed], [['shutting_down'], CLOSE.restart.code]);
});
