import { EventEmitter } from 'node:events';
import { Duplex, type Writable } from 'node:stream';
import * as ws from 'ws';
import { CHANNELS } from '../../src/bus/channels.ts';
import { CommandSender } from '../../src/bus/command-sender.ts';
import { ParleyError } from '../../src/contract/errors.ts';
import type { MessageFrame } from '../../src/contract/frames.ts';
import type { Beat } from '../../src/core/events.ts';
import type { QueryName, QueryPort } from '../../src/core/queries.ts';
import { BeatMonitor } from '../../src/gateway/beat-monitor.ts';
import { Feeds } from '../../src/gateway/feeds.ts';
import { Identities } from '../../src/gateway/identities.ts';
import { PendingShares } from '../../src/gateway/pending-shares.ts';
import { Turns } from '../../src/gateway/turns.ts';
import { Backlogs } from '../../src/gateway/ws/backlogs.ts';
import { Session } from '../../src/gateway/ws/session.ts';
import type { SessionContext } from '../../src/gateway/ws/session-context.ts';
import type { Reader } from '../../src/reader/reader.ts';
import { type Frame, messagesOf } from './client.ts';
import type { ManualClock } from './manual-clock.ts';
import type { ScriptedPort } from './scripted-bus.ts';

/** The half of `ws` that reads frames: part of the package, not of its types. */
const { Receiver } = ws as unknown as { Receiver: new (options: { isServer: boolean }) => Writable };

/** A WebSocket whose other end is the test. */
class FakeWebSocket extends EventEmitter {
  readonly OPEN = 1;
  readonly frames: Frame[] = [];
  readonly bufferedAmount = 0;
  readonly #received = new Receiver({ isServer: false }).on('message', (text: Buffer) =>
    this.frames.push(JSON.parse(text.toString())),
  );
  readonly _socket = new Duplex({
    read() {},
    write: (chunk, _encoding, done) => this.#received.write(chunk, done),
  });
  closed: number | undefined;
  paused = false;

  get readyState(): number {
    return this.closed === undefined ? this.OPEN : 3;
  }

  send(text: string, done?: () => void): void {
    if (this.closed === undefined) this.frames.push(JSON.parse(text));
    if (done) setImmediate(done);
  }
  ping(): void {}
  pause(): void {
    this.paused = true;
  }
  close(code: number): void {
    this.closed ??= code;
    setImmediate(() => this.emit('close'));
  }
  terminate(): void {
    this.close(1006);
  }
}

/** One socket of a user, seen from the client. */
export class FakeClient {
  readonly user: string;
  readonly ws = new FakeWebSocket();
  readonly #since: number | undefined;

  constructor(user: string, since: number | undefined) {
    this.user = user;
    this.#since = since;
  }

  get open(): boolean {
    return this.ws.closed === undefined;
  }

  send(frame: unknown): void {
    this.ws.emit('message', Buffer.from(JSON.stringify(frame)), false);
  }

  /** @param more what else the frame has */
  connect(more: Record<string, unknown> = {}): void {
    this.send({
      type: 'connect',
      user_id: this.user,
      ...(this.#since !== undefined && { since: this.#since }),
      ...more,
    });
  }

  /** Where the stream of this socket begins; undefined until it is connected. */
  get start(): number | undefined {
    const connected = this.ws.frames.find(({ type }) => type === 'connected');
    return connected && (this.#since ?? (connected['head'] as number));
  }

  get messages(): MessageFrame[] {
    return messagesOf(this.ws.frames);
  }
}

/** A gateway's own parts (feeds, sessions, command sender, beats) on a scripted bus. */
export class GatewayFixture {
  readonly port: ScriptedPort;
  readonly commands: CommandSender;
  readonly feeds: Feeds;
  readonly #beats: BeatMonitor;
  readonly #context: SessionContext;
  /** While the store does not answer. */
  storeDown = false;
  readonly failures: unknown[] = [];

  constructor(name: string, port: ScriptedPort, clock: ManualClock, reader: Reader) {
    this.port = port;
    this.commands = new CommandSender(port, clock, name);
    const queries: QueryPort = {
      ask: (async (query: QueryName, params: never) => {
        await null;
        if (this.storeDown) throw new ParleyError('unavailable');
        return JSON.parse(JSON.stringify(reader[query](params)));
      }) as QueryPort['ask'],
    };
    this.feeds = new Feeds(port, queries, { event() {}, repaired() {} });
    this.#beats = new BeatMonitor(clock);
    let ids = 0;
    this.#context = {
      clock,
      identities: new Identities({ mode: 'open' }, queries),
      feeds: this.feeds,
      queries,
      turns: new Turns(),
      commands: this.commands,
      shares: new PendingShares(),
      presence: { sockets: () => 0, change() {}, unwatch() {}, isOnline: () => true } as never,
      writes: { hold() {} } as never,
      backlogs: new Backlogs(Number.POSITIVE_INFINITY),
      rateLimits: false,
      draining: false,
      nextClientId: () => `${name}-${++ids}`,
      signal() {},
      unexpected: (error: unknown) => {
        this.failures.push(error);
        return new ParleyError('internal');
      },
      opened() {},
      accepted() {},
      delivered() {},
      refused() {},
      overflowed() {},
      ended() {},
    } as SessionContext;
  }

  async start(): Promise<void> {
    await this.commands.start();
    await this.port.subscribe(CHANNELS.beat, (payload) => this.#hear(JSON.parse(payload)));
    this.port.onGap(() => this.feeds.resync());
  }

  open(user: string, since?: number): FakeClient {
    const client = new FakeClient(user, since);
    new Session(client.ws as unknown as ws.WebSocket, client.ws._socket, true, undefined, this.#context);
    client.connect();
    return client;
  }

  /** As the gateway does (src/gateway/gateway.ts). */
  #hear(beat: Beat): void {
    const { resync } = this.#beats.hear(beat);
    this.commands.heard(beat.writer.ok);
    if (resync) this.feeds.resync();
    this.feeds.check(beat);
  }
}
