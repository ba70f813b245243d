import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { LoginLimits } from '../auth/login-limits.ts';
import { Passwords } from '../auth/passwords.ts';
import { type Clock, sleep } from '../base/clock.ts';
import type { Service } from '../base/life-cycle.ts';
import { listen } from '../base/listen.ts';
import { http } from '../base/node-http.ts';
import { Semaphore } from '../base/semaphore.ts';
import { CHANNELS } from '../bus/channels.ts';
import { CommandSender } from '../bus/command-sender.ts';
import { QueryClient } from '../bus/query-client.ts';
import type { Config } from '../config/config.ts';
import { ParleyError } from '../contract/errors.ts';
import { LIMITS } from '../contract/limits.ts';
import { uuidv7Generator } from '../contract/uuidv7.ts';
import type { Bus } from '../core/bus.ts';
import type { Command, Outcome } from '../core/commands.ts';
import { type Beat, decodeBeat, encodeSignal } from '../core/events.ts';
import type { Logger } from '../ops/logger.ts';
import { GatewayMetrics } from '../ops/metrics.ts';
import { SHUTTING_DOWN } from '../ops/node-summary.ts';
import { BeatMonitor } from './beat-monitor.ts';
import { Feeds } from './feeds.ts';
import { createHttpApp } from './http/app.ts';
import { InOrder } from './http/in-order.ts';
import { corsHeaders, type Origins } from './http/origins.ts';
import { endWith, rawAnswer } from './http/raw-answer.ts';
import type { RouteContext } from './http/route-context.ts';
import { UntakenAnswers } from './http/untaken-answers.ts';
import { Identities } from './identities.ts';
import { PendingShares } from './pending-shares.ts';
import { Presence } from './presence.ts';
import { Readiness } from './readiness.ts';
import { Turns } from './turns.ts';
import { Backlogs } from './ws/backlogs.ts';
import type { SessionContext } from './ws/session-context.ts';
import { SocketServer } from './ws/socket-server.ts';
import { WriteBatcher } from './ws/write-batcher.ts';

export type GatewaySettings = {
  readonly host: string;
  readonly port: number;
  /** Whether other workers listen on the same port by themselves. */
  readonly sharePort: boolean;
  /** Connections of clients it may have; what comes beyond them is closed at once. */
  readonly connectionsMax: number;
  /** Whether to answer only requests whose Host is `localhost` or an address. */
  readonly localNamesOnly: boolean;
  readonly corsOrigins: Origins;
  readonly trustProxy: boolean;
  readonly auth: Config['auth'];
  readonly passwordMinLength: number;
  readonly rateLimits: boolean;
  /** How `stop()` spends its time, in milliseconds. */
  readonly drain: {
    /** How long `/readyz` says no before sockets are closed, so that load balancers see it. */
    readonly noticeMs: number;
    /** How long to wait for sends and requests to be answered. */
    readonly patienceMs: number;
    /** How long connections then have to close. */
    readonly lastAnswersMs: number;
  };
};

export type GatewayParts = {
  readonly settings: GatewaySettings;
  readonly bus: Bus;
  /** For logins and registrations. */
  readonly limits: LoginLimits;
  readonly clock: Clock;
  /** Identifies this run of the worker. Unlike the worker's name, it is never used again. */
  readonly instance: string;
  /** The name that clients see, as node/worker. */
  readonly name: string;
  readonly log: Logger;
};

/** How long a proxy's idle connections are kept, in milliseconds: nginx keeps its own for 60 s. */
const PROXIED_IDLE_MS = 75_000;
/**
 * Connections that may wait to be accepted. The kernel's own bound (Linux: net.core.somaxconn, 4,096) may be lower. In a storm of
 * reconnects, the kernel drops what exceeds it, and those clients' kernels retry after 1, 2, 4 … s. Node's default is 511.
 */
const BACKLOG = 4_096;
/** Clients of a draining gateway reconnect spread over this time, in milliseconds. */
const RECONNECT_SPREAD_MS = 3_000;
/** After a connection was refused, it counts as full, and says so once, for this long, in milliseconds. */
const FULL_MS = 10_000;
/** Repairs are logged together after this time, in milliseconds. */
const TELL_REPAIRS_AFTER_MS = 1_000;

/** One gateway worker: the HTTP API and the sockets. It never opens the database. */
export class Gateway implements Service {
  readonly #settings: GatewaySettings;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #commands: CommandSender;
  readonly #queries: QueryClient;
  readonly #identities: Identities;
  readonly #feeds: Feeds;
  readonly #presence: Presence;
  readonly #beats: BeatMonitor;
  readonly #readiness: Readiness;
  readonly #server: Server;
  readonly #sockets: SocketServer;
  readonly metrics: GatewayMetrics;
  /** From now on it is not ready, whatever the node's state is. It continues to serve for a while. */
  #stopping = false;
  #draining = false;
  /** When it last refused a connection. */
  #fullAt = Number.NEGATIVE_INFINITY;
  /** Repairs not logged yet, and the messages in them. */
  #untold = { repairs: 0, messages: 0 };
  /** HTTP requests not answered yet. */
  #requests = 0;
  #onRequestsAnswered: (() => void) | undefined;

  constructor({ settings, bus, limits, clock, instance, name, log }: GatewayParts) {
    this.#settings = settings;
    this.#bus = bus;
    this.#clock = clock;
    this.#log = log;
    this.#commands = new CommandSender(bus, clock, instance);
    this.#queries = new QueryClient(bus, (token) => this.#identities.ended(token));
    this.#identities = new Identities(settings.auth, this.#queries);
    this.#presence = new Presence(bus, clock, instance);
    this.#beats = new BeatMonitor(clock);
    this.#readiness = new Readiness(
      clock,
      this.#queries,
      this.#beats,
      this.#commands,
      settings.auth.mode === 'open',
    );
    this.metrics = new GatewayMetrics({
      sockets: () => this.#sockets.size,
      unsettled: () => this.#commands.unsettled,
    });
    this.#feeds = new Feeds(bus, this.#queries, {
      event: (at) => this.metrics.delivery.observe(Math.max(0, clock.now() - at) / 1000),
      repaired: (messages) => {
        this.metrics.repairs.inc();
        this.metrics.repaired.inc(messages);
        this.#noteRepair(messages);
      },
    });
    const headers = { 'Parley-Worker': name };
    const context = this.#context(clock, limits);
    const { corsOrigins: origins, localNamesOnly, trustProxy } = settings;
    const app = createHttpApp({ routes: context, origins, trustProxy, localNamesOnly, headers, log });
    const answer = app.callback();
    const inOrder = new InOrder();
    const untaken = new UntakenAnswers(LIMITS.untakenBytes, () => context.overflowed('untaken'));
    this.#server = http.createServer(
      {
        headersTimeout: LIMITS.headersMs,
        requestTimeout: LIMITS.requestMs,
        connectionsCheckingInterval: 1_000,
        // The proxy must be the one that closes an idle connection. Otherwise we might close it just as the next request arrives.
        ...(trustProxy && { keepAliveTimeout: PROXIED_IDLE_MS }),
        // Some clients offer HTTP/2 with every request. They are answered in HTTP/1.1, as the offer allows. An upgrade that was
        // sent ahead is answered as a plain request, too: otherwise the answers before it would be followed by something that is
        // not HTTP.
        shouldUpgradeCallback: ({ headers, socket }) =>
          headers.upgrade?.toLowerCase() === 'websocket' && !inOrder.owed(socket),
        // The app checks it, and says in words what is wrong.
        requireHostHeader: false,
      },
      (request, response) =>
        inOrder.begin(request, response, () => {
          this.#requests++;
          response.once('close', () => {
            if (--this.#requests === 0) this.#onRequestsAnswered?.();
          });
          // Until its headers are sent, an answer is still being made or waits for its turn. The client is not slow then.
          response.on('timeout', () => {
            if (response.headersSent) request.socket.destroy();
          });
          untaken.watch(response);
          answer(request, response);
        }),
    );
    // A client that does not read would keep its answers in memory. When there is something to write, Node waits twice this time.
    // For what is to be read, requestTimeout comes first.
    this.#server.timeout = LIMITS.answerMs / 2;
    this.#server.maxConnections = settings.connectionsMax;
    this.#server.on('drop', () => this.#noteFull());
    // Whatever else a client expects, its request is answered.
    this.#server.on('checkExpectation', (...exchange) => this.#server.emit('request', ...exchange));
    this.#server.on('clientError', (cause: NodeJS.ErrnoException, socket) => {
      if (cause.code === 'ECONNRESET' || !socket.writable) return;
      const { error, status } = unreadable(cause);
      context.refused(error.code);
      // The request's Origin is unknown.
      const said = rawAnswer(error, { ...headers, ...corsHeaders(origins, undefined) }, undefined, status);
      inOrder.end(socket, () => endWith(socket, said, clock));
    });
    this.#sockets = new SocketServer(this.#server, { context, origins, localNamesOnly, headers });
  }

  /** Listens once it can serve. Rejects if the address is taken. */
  async start(): Promise<void> {
    await this.#commands.start();
    await this.#presence.start();
    await this.#bus.subscribe(CHANNELS.beat, (payload) => this.#hear(decodeBeat(payload)));
    // Makes it ready as soon as the writer answers, rather than with the writer's next beat.
    this.#commands.sendCanary();
    this.#bus.onGap(() => this.#feeds.resync());
    this.#readiness.watch(({ tokenSecret }) => this.#identities.learnSecret(tokenSecret));
    const { host, port, sharePort } = this.#settings;
    await listen(
      this.#server,
      { host, port, backlog: BACKLOG, ...(sharePort && { reusePort: true, exclusive: true }) },
      (err) => this.#log.warn({ event: 'server_error', err }, 'the server reports an error, and goes on'),
    );
  }

  /** Where it listens. */
  get address(): { host: string; port: number } {
    const { address, port } = this.#server.address() as AddressInfo;
    return { host: address, port };
  }

  /** Becomes not ready, then refuses new sockets, answers sends, and tells clients when to come back (G8). */
  async stop(): Promise<void> {
    this.#readiness.nodeTrouble = SHUTTING_DOWN;
    this.#stopping = true;
    const { noticeMs, patienceMs, lastAnswersMs } = this.#settings.drain;
    await sleep(noticeMs);
    this.#draining = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await Promise.all([
      this.#sockets.drain(patienceMs, RECONNECT_SPREAD_MS),
      Promise.race([this.#requestsAnswered(), sleep(patienceMs)]),
    ]);
    await Promise.race([closed, sleep(lastAnswersMs)]);
    this.#readiness.stop();
    this.#presence.stop();
    this.#commands.stop();
  }

  /** Why clients could not send now, or their sends would not be stored and delivered, in words; empty if they would. */
  get failing(): readonly string[] {
    return this.#full ? [...this.#readiness.failing, this.#fullness] : this.#readiness.failing;
  }

  get #full(): boolean {
    return this.#clock.steady() - this.#fullAt < FULL_MS;
  }

  get #fullness(): string {
    return `it has ${this.#settings.connectionsMax} connections, all that its limit on open files allows (ulimit -n), and refuses others`;
  }

  #noteFull(): void {
    if (!this.#full) this.#log.warn({ event: 'gateway_full' }, this.#fullness);
    this.#fullAt = this.#clock.steady();
  }

  /** After a gap each user has a repair, so they are logged in one line. */
  #noteRepair(messages: number): void {
    if (this.#untold.repairs === 0) {
      this.#clock.after(TELL_REPAIRS_AFTER_MS, () => {
        this.#log.info(
          { event: 'repaired', ...this.#untold },
          'messages whose events were lost came from the store',
        );
        this.#untold = { repairs: 0, messages: 0 };
      });
    }
    this.#untold.repairs++;
    this.#untold.messages += messages;
  }

  #requestsAnswered(): Promise<void> {
    if (this.#requests === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onRequestsAnswered = resolve;
    });
  }

  /** What the primary says is wrong with the node; undefined if nothing is. */
  set nodeTrouble(trouble: string | undefined) {
    if (!this.#stopping) this.#readiness.nodeTrouble = trouble;
  }

  #hear(beat: Beat | undefined): void {
    // The unreadable beat may name users who have missed something.
    if (beat === undefined) return this.#feeds.resync();
    const { resync, epochChanged } = this.#beats.hear(beat);
    this.#commands.heard(beat.writer.ok);
    if (epochChanged) {
      this.#log.warn(
        { event: 'epoch_changed', epoch: beat.epoch },
        'the database was restored: all sockets are closed',
      );
      this.#sockets.reset();
    } else if (resync) {
      this.#feeds.resync();
    }
    this.#feeds.check(beat);
  }

  #context(clock: Clock, limits: LoginLimits) {
    const gateway = this;
    const unexpected = (err: unknown, requestId?: string): ParleyError => {
      this.#log.error({ event: 'unexpected_error', err, requestId }, 'unexpected error');
      return new ParleyError('internal');
    };
    return {
      clock,
      identities: this.#identities,
      feeds: this.#feeds,
      queries: this.#queries,
      turns: new Turns(),
      longAnswers: new Semaphore(LIMITS.longAnswersAtOnce),
      commands: this.#commands,
      shares: new PendingShares(),
      presence: this.#presence,
      writes: new WriteBatcher(),
      backlogs: new Backlogs(LIMITS.unsentTogetherBytes),
      passwords: new Passwords(),
      limits,
      readiness: this.#readiness,
      rateLimits: this.#settings.rateLimits,
      passwordMinLength: this.#settings.passwordMinLength,
      log: this.#log,
      nextClientId: uuidv7Generator(),
      get draining(): boolean {
        return gateway.#draining;
      },
      command(command: Command): Promise<Exclude<Outcome, { kind: 'refused' }>> {
        return new Promise((resolve, reject) => {
          gateway.#commands.submit(command, (outcome) => {
            if (outcome.kind === 'refused') reject(new ParleyError(outcome.code));
            else resolve(outcome);
          });
        });
      },
      signal(user, frame): void {
        if (!gateway.#presence.isOnline(user)) return;
        const payload = encodeSignal(JSON.stringify(frame));
        gateway.#bus.publish([{ channel: CHANNELS.user(user), payload }]).catch(() => {}); // A signal may be lost.
      },
      unexpected,
      accepted: () => gateway.metrics.accepted.inc(),
      delivered: (messages) => gateway.metrics.delivered.inc(messages),
      refused: (code) => gateway.metrics.refused.inc({ code }),
      overflowed: (kind) => gateway.metrics.overflows.inc({ kind }),
      opened: () => gateway.metrics.opened.inc(),
      loggedIn: (result) => gateway.metrics.logins.inc({ result }),
    } satisfies Omit<SessionContext, 'ended'> & RouteContext;
  }
}

/** The answer if a request is not valid HTTP, or came too slowly (rule L7), by Node's error code. */
function unreadable({ code }: NodeJS.ErrnoException): { error: ParleyError; status?: number } {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return { error: new ParleyError('request_timeout') };
  if (code === 'HPE_HEADER_OVERFLOW')
    return { error: new ParleyError('invalid_request', 'The request headers are too large.'), status: 431 };
  return { error: new ParleyError('invalid_request', 'The request is not valid HTTP.') };
}
