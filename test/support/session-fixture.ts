import type { WebSocket } from 'ws';
import { ParleyError } from '../../src/contract/errors.ts';
import { LIMITS } from '../../src/contract/limits.ts';
import type { Command, Outcome } from '../../src/core/commands.ts';
import { encodeMessages } from '../../src/core/events.ts';
import type { CatchUpPage, Queries, QueryPort, TokenClaims } from '../../src/core/queries.ts';
import { Feeds } from '../../src/gateway/feeds.ts';
import { PendingShares } from '../../src/gateway/pending-shares.ts';
import { Presence } from '../../src/gateway/presence.ts';
import { Turns } from '../../src/gateway/turns.ts';
import { Backlogs } from '../../src/gateway/ws/backlogs.ts';
import { Session } from '../../src/gateway/ws/session.ts';
import type { SessionContext } from '../../src/gateway/ws/session-context.ts';
import type { Frame } from './client.ts';
import { FakeClient } from './gateway-fixture.ts';
import { ManualClock } from './manual-clock.ts';
import { ScriptedBus, settle } from './scripted-bus.ts';

/** What the store says of a user without messages. */
export const PAGE: CatchUpPage = {
  epoch: 'e',
  user: 'known',
  tokens: [],
  ids: [],
  frames: [],
  upto: 0,
  head: 0,
  more: false,
};

export const NO_DATA = Buffer.alloc(0);
export const REPEAT = '{"type":"message","id":1,"repeat":true}';

export type Asked = Queries['catchUp']['params'];

export type SessionFixtureOptions = {
  /** Which protocol it speaks. */
  full?: boolean;
  /** Whether it sends a connect frame at once. */
  connects?: boolean;
  since?: number;
  /** What else the connect frame has. */
  more?: Record<string, unknown>;
  page?: CatchUpPage;
  /** What the store answers, in place of always the same page. */
  answer?: (asked: Asked) => CatchUpPage;
  tokenS?: number;
  /** Pings of WebSocket's own, sent before the connect. */
  frames?: number;
  /** When subscriptions are in force. */
  subscribed?: Promise<void>;
  /** When the store answers. */
  answered?: Promise<void>;
  turns?: Turns;
  /** What becomes of commands. */
  submit?: (command: Command, settle: (outcome: Outcome) => void) => void;
  /** Why nobody is who they say. */
  refusal?: Error;
  /** Sockets of the user that other gateways tell of. */
  elsewhere?: number;
  /** What all sockets of the gateway may have unsent together, in bytes. */
  unsentMax?: number;
  /** RATE_LIMITS. */
  rateLimits?: boolean;
  /** The gateway of another session. */
  on?: SessionGateway;
};

/** What sessions of one gateway share; its feeds ask the store of the first. */
function newGateway(queries: QueryPort, subscribed: Promise<void>, elsewhere: number, unsentMax: number) {
  const clock = new ManualClock();
  const port = new ScriptedBus().port();
  const backlogs = new Backlogs(unsentMax);
  const { subscribe } = port;
  port.subscribe = (...args) => subscribe.apply(port, args).then(() => subscribed);
  const feeds = new Feeds(port, queries, { event() {}, repaired() {} });
  const watches = new Presence(port, clock, 'g1');
  const shares = new PendingShares();
  return { clock, port, feeds, watches, backlogs, shares, sockets: elsewhere, draining: false, ended: 0 };
}
type SessionGateway = ReturnType<typeof newGateway>;

/** A session of ann's, and what is left of it elsewhere. Its token lives for `tokenS` seconds. */
export async function sessionFixture({
  full = true,
  connects = true,
  since,
  more = {},
  page = PAGE,
  answer = () => page,
  tokenS = 3_600,
  frames = 0,
  subscribed = Promise.resolve(),
  answered = Promise.resolve(),
  turns = new Turns(),
  submit = (_, settle) => settle({ kind: 'repeat', frame: REPEAT }),
  refusal,
  elsewhere = 0,
  unsentMax = LIMITS.unsentTogetherBytes,
  rateLimits = true,
  on,
}: SessionFixtureOptions = {}) {
  const asked: Asked[] = [];
  const queries: QueryPort = {
    ask: (async (_: 'catchUp', params: Asked) => {
      asked.push(params);
      const now = answer(params);
      await answered;
      return now;
    }) as QueryPort['ask'],
  };
  const gateway = on ?? newGateway(queries, subscribed, elsewhere, unsentMax);
  const { clock, port, feeds, watches, backlogs, shares } = gateway;
  let told = 0;
  const claims: TokenClaims = {
    user: 'ann',
    tokenId: 'id',
    version: 0,
    expiresAt: clock.now() / 1000 + tokenS,
  };
  const ended: string[] = [];
  const defects: unknown[] = [];
  const overflows: string[] = [];
  const signals: (readonly [user: string, frame: unknown])[] = [];
  const context = {
    clock,
    identities: {
      identify: async () => {
        if (refusal) throw refusal;
        return { user: 'ann', claims };
      },
      ended: ({ tokenId }: TokenClaims) => void ended.push(tokenId),
    },
    feeds,
    queries,
    turns,
    presence: {
      sockets: () => gateway.sockets,
      change: (_: string, by: number) => {
        gateway.sockets += by;
      },
      watch: (...args: Parameters<Presence['watch']>) => watches.watch(...args),
      unwatch: (...args: Parameters<Presence['unwatch']>) => watches.unwatch(...args),
    },
    writes: { hold() {} },
    backlogs,
    commands: { submit },
    shares,
    rateLimits,
    accepted() {},
    nextClientId: () => 'ours',
    get draining() {
      return gateway.draining;
    },
    unexpected: (error: unknown) => {
      defects.push(error);
      return new ParleyError('internal');
    },
    signal: (user: string, frame: unknown) => signals.push([user, frame]),
    opened() {},
    delivered() {},
    refused() {},
    ended: () => gateway.ended++,
    overflowed: (kind: string) => overflows.push(kind),
  } as unknown as SessionContext;
  const client = new FakeClient('ann', since);
  const session = new Session(client.ws as unknown as WebSocket, client.ws._socket, full, undefined, context);
  const presence = session.presence.bind(session);
  session.presence = (online, offline) => {
    told++;
    presence(online, offline);
  };
  let pings = 0;
  client.ws.ping = () => pings++;
  for (let i = 0; i < frames; i++) client.ws.emit('ping', NO_DATA);
  if (connects) client.connect(more);
  await settle();
  /** A heartbeat interval passes. */
  const beat = async (): Promise<void> => {
    clock.advance(LIMITS.heartbeatMs);
    session.heartbeat(clock.steady());
    await settle();
  };
  const ofType = (type: string): Frame[] => client.ws.frames.filter((frame) => frame.type === type);
  const errors = (): unknown[] => ofType('error').map(({ code }) => code);
  return {
    clock,
    client,
    session,
    gateway,
    beat,
    ofType,
    errors,
    ended,
    defects,
    overflows,
    signals,
    pings: () => pings,
    /** What the store was asked. */
    asked,
    /** Messages were committed, and their event comes. */
    event(prev: number, ...ids: number[]): void {
      const payload = encodeMessages(prev, 0, ids, ids.map(messageText));
      void port.publish([{ channel: 'u:ann', payload }]);
      port.deliver();
    },
    /** Somebody comes, whom the socket may watch. @returns whether it is told */
    comes: (user: string): boolean => {
      const before = told;
      watches.change(user, 1);
      clock.advance(100);
      return told > before;
    },
    /** What other parts of the gateway still know of the socket. */
    left: () => ({
      sockets: gateway.sockets - elsewhere,
      members: feeds.sockets('ann'),
      channels: port.channels,
      timers: clock.timers,
    }),
  };
}

/** The frame of a message, which says its id and no more. */
export const messageText = (id: number): string => JSON.stringify({ type: 'message', id });
