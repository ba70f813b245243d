import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WebSocket } from 'ws';
import { CLOSE } from '../../src/contract/errors.ts';
import { LIMITS } from '../../src/contract/limits.ts';
import type { Command, Outcome } from '../../src/core/commands.ts';
import type { CatchUpPage, QueryPort, TokenClaims } from '../../src/core/queries.ts';
import { Feeds } from '../../src/gateway/feeds.ts';
import { Presence } from '../../src/gateway/presence.ts';
import { Turns } from '../../src/gateway/turns.ts';
import { Session } from '../../src/gateway/ws/session.ts';
import type { SessionContext } from '../../src/gateway/ws/session-context.ts';
import { FakeClient } from '../support/gateway-bench.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { ScriptedBus, settle } from '../support/scripted-bus.ts';

const PAGE: CatchUpPage = {
  epoch: 'e',
  user: 'known',
  tokens: [],
  ids: [],
  frames: [],
  upto: 0,
  head: 0,
  more: false,
};

const NO_DATA = Buffer.alloc(0);
const REPEAT = '{"type":"message","id":1,"repeat":true}';

/** A session of ann's, and what is left of it elsewhere. Its token lives for `tokenS` seconds. */
async function bench({
  since,
  page = PAGE,
  tokenS = 3_600,
  frames = 0,
  subscribed = Promise.resolve(),
  answered = Promise.resolve(),
  turns = new Turns(),
}: {
  since?: number;
  page?: CatchUpPage;
  tokenS?: number;
  /** Pings of WebSocket's own, sent before the connect. */
  frames?: number;
  /** When subscriptions are in force. */
  subscribed?: Promise<void>;
  /** When the store answers. */
  answered?: Promise<void>;
  turns?: Turns;
} = {}) {
  const clock = new ManualClock();
  const port = new ScriptedBus().port();
  const { subscribe } = port;
  port.subscribe = (...args) => subscribe.apply(port, args).then(() => subscribed);
  const watches = new Presence(port, clock, 'g1');
  let told = 0;
  let sockets = 0;
  let asked = 0;
  const queries: QueryPort = {
    ask: (async () => {
      asked++;
      await answered;
      return page;
    }) as QueryPort['ask'],
  };
  const feeds = new Feeds(port, queries, { event() {}, repaired() {} });
  const claims: TokenClaims = {
    user: 'ann',
    tokenId: 'id',
    version: 0,
    expiresAt: clock.now() / 1000 + tokenS,
  };
  const overflows: string[] = [];
  const signals: string[] = [];
  const context = {
    clock,
    identities: { identify: async () => ({ user: 'ann', claims }) },
    feeds,
    queries,
    turns,
    presence: {
      sockets: () => sockets,
      change: (_: string, by: number) => {
        sockets += by;
      },
      watch: (...args: Parameters<Presence['watch']>) => watches.watch(...args),
      unwatch: (...args: Parameters<Presence['unwatch']>) => watches.unwatch(...args),
    },
    writes: { hold() {} },
    commands: {
      submit: (_: Command, settle: (outcome: Outcome) => void) => settle({ kind: 'repeat', frame: REPEAT }),
    },
    rateLimits: true,
    accepted() {},
    nextClientId: () => 'ours',
    draining: false,
    signal: (user: string) => signals.push(user),
    opened() {},
    delivered() {},
    refused() {},
    ended() {},
    overflowed: (kind: string) => overflows.push(kind),
  } as unknown as SessionContext;
  const client = new FakeClient('ann', since);
  const session = new Session(client.ws as unknown as WebSocket, client.ws._socket, true, claims, context);
  const presence = session.presence.bind(session);
  session.presence = (online, offline) => {
    told++;
    presence(online, offline);
  };
  let pings = 0;
  client.ws.ping = () => pings++;
  for (let i = 0; i < frames; i++) client.ws.emit('ping', NO_DATA);
  client.connect();
  await settle();
  /** A heartbeat interval passes. */
  const beat = async (): Promise<void> => {
    clock.advance(LIMITS.heartbeatMs);
    session.heartbeat(clock.steady());
    await settle();
  };
  const errors = (): unknown[] =>
    client.ws.frames.filter(({ type }) => type === 'error').map(({ code }) => code);
  return {
    clock,
    client,
    session,
    beat,
    errors,
    overflows,
    signals,
    pings: () => pings,
    asked: () => asked,
    /** Somebody comes, whom the socket may watch. @returns whether it is told */
    comes: (user: string): boolean => {
      const before = told;
      watches.change(user, 1);
      return told > before;
    },
    /** What other parts of the gateway still know of the socket. */
    left: () => ({ sockets, members: feeds.sockets('ann'), channels: port.channels }),
  };
}

const NOTHING = { sockets: 0, members: 0, channels: [] };

test('K1: a socket whose peer is silent is pinged at 25 and 50 s, ended at 75, and leaves nothing behind', async () => {
  const { client, beat, pings, left } = await bench();
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
    const { client, clock, session } = await bench();
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
  const { client, clock, beat, errors, left } = await bench({ tokenS: 60 });
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

test('L6: a socket with more than 1 MiB unsent is closed with 4431, one with as much is not', async () => {
  const { client, session, overflows } = await bench();
  let unsent: number = LIMITS.unsentBytes;
  Object.defineProperty(client.ws, 'bufferedAmount', { get: () => unsent });
  session.signal('{"type":"typing","from":"bob"}');
  assert.equal(client.open, true);
  unsent++;
  session.signal('{"type":"typing","from":"bob"}');
  assert.equal(client.ws.closed, CLOSE.slowConsumer.code);
  assert.deepEqual(overflows, ['unsent']);
});

test('S2, G6: however often a socket says that its user is typing, one in 100 ms is passed on', async () => {
  const { client, clock, signals } = await bench();
  const type = (to: string): void => {
    client.send({ type: 'typing', to });
  };
  for (let i = 0; i < 50; i++) type('bob');
  type('carol');
  assert.deepEqual(signals, ['bob']);
  clock.advance(LIMITS.typingMs);
  type('carol');
  type('bob');
  assert.deepEqual(signals, ['bob', 'carol']);
});

test('G6: a peer that does not answer the close is dropped after 5 s; one that does is let be', async () => {
  for (const answers of [false, true]) {
    const { client, clock, session } = await bench();
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
  const { client, errors } = await bench({ answered: new Promise(() => {}) });
  const frame = { type: 'message', to: 'bob', message: 'x'.repeat(LIMITS.messageUnits) };
  const fits = Math.floor(LIMITS.queuedBytes / JSON.stringify(frame).length);
  for (let i = 0; i < fits; i++) client.send(frame);
  assert.deepEqual(errors(), []);
  client.send(frame);
  assert.deepEqual(errors(), ['overloaded']);
  assert.equal(client.open, true);
});

test('S3, G6: a socket that closes while it is catching up is not counted any more', async () => {
  const { client, left } = await bench({
    since: 0,
    page: { ...PAGE, ids: [1], frames: ['{}'], upto: 1, head: 9, more: true },
  });
  assert.equal(left().sockets, 1);
  client.ws.close(1000);
  await settle();
  assert.deepEqual(left(), NOTHING);
});

test('L6, G6: a watch whose answer is one too many for a slow socket closes it, and is not kept', async () => {
  const { client, overflows, comes } = await bench();
  client.send({ type: 'watch', users: ['bob'] });
  assert.equal(comes('bob'), true);
  Object.assign(client.ws, { bufferedAmount: LIMITS.unsentBytes + 1 });
  client.send({ type: 'watch', users: ['eve'] });
  assert.deepEqual([overflows, client.ws.closed], [['unsent'], CLOSE.slowConsumer.code]);
  assert.equal(comes('eve'), false);
});

test('M3, M4: a repeat is told to a client that chose the client_id, and not where the gateway did', async () => {
  const { client } = await bench();
  const repeats = (): number => client.ws.frames.filter(({ repeat }) => repeat === true).length;
  client.send({ type: 'message', to: 'bob', message: 'hi' });
  assert.equal(repeats(), 0);
  client.send({ type: 'message', to: 'bob', message: 'hi', client_id: 'c1' });
  assert.equal(repeats(), 1);
});

test('B4, K3: a connect beyond the rate is refused for that: 4429, and the client is told when to come back', async () => {
  const { client, errors } = await bench({ frames: LIMITS.framesBurst });
  assert.equal(errors().at(-1), 'rate_limited');
  assert.equal(client.ws.closed, CLOSE.rateLimited.code);
  const closing = client.ws.frames.at(-1);
  assert.deepEqual([closing?.type, typeof closing?.['reconnect_after_ms']], ['closing', 'number']);
});

for (const kind of ['ping', 'pong']) {
  test(`L5: WebSocket ${kind}s count as frames: who sends too many is closed with 4429 and not read any more`, async () => {
    const { client, clock, errors } = await bench();
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
  const { client, session } = await bench();
  client.ws.close = () => {};
  session.revoked();
  for (let i = 0; i < 2 * LIMITS.framesBurst; i++) client.send({ type: 'ping' });
  assert.equal(client.ws.paused, true);
});

test('B4, G6: a connect whose subscription does not come into force is refused after 8 s, and nothing is left of it', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { client, clock, errors, asked, left } = await bench({ subscribed: promise });
  clock.advance(7_900);
  assert.equal(client.open, true);
  clock.advance(200);
  assert.deepEqual(errors(), ['unavailable']);
  assert.equal(client.ws.closed, CLOSE.tryLater.code);
  assert.deepEqual(left(), NOTHING);
  resolve();
  await settle();
  assert.equal(asked(), 0);
});

test('L10, G6: a connect is answered in its user’s turn, which it keeps until the store has answered, though the socket has left', async () => {
  const turns = new Turns();
  const { promise: answered, resolve } = Promise.withResolvers<void>();
  const sockets = await Promise.all(
    Array.from({ length: LIMITS.answersAtOnce }, () => bench({ since: 0, answered, turns })),
  );
  assert.ok(sockets.every(({ asked }) => asked() === 1));
  for (const { client } of sockets) client.ws.close(1000);
  const gone = await bench({ since: 0, turns });
  const next = await bench({ since: 0, turns });
  gone.client.ws.close(1000);
  await settle();
  assert.equal(next.asked(), 0);
  resolve();
  await settle();
  assert.equal(next.asked(), 1);
  assert.equal(gone.asked(), 0, 'nobody is there to take it');
  assert.deepEqual(gone.left(), NOTHING);
});

test('B4: a connect that was answered is not refused later', async () => {
  const { client, clock, errors } = await bench();
  clock.advance(10_000);
  assert.deepEqual(errors(), []);
  assert.equal(client.open, true);
});
