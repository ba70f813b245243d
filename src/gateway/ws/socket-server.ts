import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { bearerToken } from '../../auth/tokens.ts';
import { ParleyError } from '../../contract/errors.ts';
import { LIMITS } from '../../contract/limits.ts';
import { SUBPROTOCOL } from '../../contract/version.ts';
import type { TokenClaims } from '../../core/queries.ts';
import { localAddress } from '../http/address.ts';
import { checkHost } from '../http/hosts.ts';
import { corsHeaders, type Origins } from '../http/origins.ts';
import { endWith, rawAnswer } from '../http/raw-answer.ts';
import { requestIdOf } from '../http/request-id.ts';
import { Session } from './session.ts';
import type { SessionContext } from './session-context.ts';

/** Heartbeats are spread over this many parts of the interval, so that pings don't come in bursts. */
const HEARTBEAT_PARTS = 25;
/** After a restore, clients reconnect spread over this time, in milliseconds. */
const RESET_SPREAD_MS = 2_000;

export type SocketServerOptions = {
  readonly context: Omit<SessionContext, 'ended'>;
  /** Origins a browser may connect from. */
  readonly origins: Origins;
  /** The same as for requests, see `checkHost`. */
  readonly localNamesOnly: boolean;
  /** Headers of every answer to an upgrade. */
  readonly headers: Readonly<Record<string, string>>;
};

/** Accepts WebSocket upgrades at `/ws`, and keeps the sessions. */
export class SocketServer {
  readonly #options: SocketServerOptions;
  readonly #context: SessionContext;
  readonly #wss: WebSocketServer;
  readonly #sessions: Set<Session>[] = Array.from({ length: HEARTBEAT_PARTS }, () => new Set());
  readonly #heartbeat: NodeJS.Timeout;
  #opened = 0;
  #part = 0;

  constructor(server: Server, options: SocketServerOptions) {
    this.#options = options;
    // A spread would freeze `draining`, which is a getter.
    this.#context = Object.create(options.context, {
      ended: { value: (session: Session) => this.#sessions.some((part) => part.delete(session)) },
    }) as SessionContext;
    this.#wss = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: LIMITS.frameBytes,
      maxFragments: 64,
      maxBufferedChunks: 1_024,
      handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    });
    this.#wss.on('headers', (headers, request) => {
      const all = { ...options.headers, 'X-Request-Id': requestIdOf(request.headers['x-request-id']) };
      for (const [name, value] of Object.entries(all)) headers.push(`${name}: ${value}`);
    });
    this.#wss.on('wsClientError', (error, socket, request) => {
      // RFC 6455, 4.2.2: names the supported version, in case the client's was the problem.
      const headers = { 'Sec-WebSocket-Version': '13' };
      this.#refuse(request, socket, new ParleyError('invalid_request', `${error.message}.`), headers);
    });
    server.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket, head));
    this.#heartbeat = setInterval(() => this.#beat(), LIMITS.heartbeatMs / HEARTBEAT_PARTS);
    this.#heartbeat.unref();
  }

  /** Open sockets. */
  get size(): number {
    return this.#sessions.reduce((sum, part) => sum + part.size, 0);
  }

  *sessions(): Generator<Session> {
    for (const part of this.#sessions) yield* [...part];
  }

  /** Closes every socket once its sends are answered, or patience is over. Clients reconnect spread over `spreadMs`. */
  async drain(patienceMs: number, spreadMs: number): Promise<void> {
    clearInterval(this.#heartbeat);
    const patience = new Promise<void>((resolve) => this.#context.clock.after(patienceMs, resolve));
    await Promise.all(
      [...this.sessions()].map(async (session) => {
        await Promise.race([session.idle(), patience]);
        session.close('restart', new ParleyError('shutting_down'), Math.random() * spreadMs);
      }),
    );
  }

  /** Closes all sockets at once, so that clients start anew. */
  reset(): void {
    for (const session of this.sessions()) {
      session.close(
        'restart',
        new ParleyError('shutting_down', 'The database was restored: reconnect.'),
        Math.random() * RESET_SPREAD_MS,
      );
    }
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', destroy);
    try {
      const claims = await this.#admit(request);
      // Also for a token that was being verified when the drain began: it closes only the sessions there are.
      if (this.#context.draining) throw new ParleyError('shutting_down');
      if (socket.destroyed) return;
      this.#wss.handleUpgrade(request, socket, head, (ws) => {
        const session = new Session(ws, socket, ws.protocol === SUBPROTOCOL, claims, this.#context);
        this.#sessions[this.#opened++ % HEARTBEAT_PARTS]?.add(session);
        socket.off('error', destroy); // `ws` adds its own.
      });
    } catch (error) {
      const known = error instanceof ParleyError ? error : this.#context.unexpected(error);
      this.#refuse(request, socket, known);
    }
  }

  async #admit(request: IncomingMessage): Promise<TokenClaims | undefined> {
    checkHost(request, this.#options.localNamesOnly);
    if (localAddress(request.url).split('?', 1)[0] !== '/ws') throw new ParleyError('not_found');
    if (request.method !== 'GET') throw new ParleyError('method_not_allowed');
    const { origin, authorization, 'sec-websocket-protocol': protocols } = request.headers;
    const { origins } = this.#options;
    if (
      origins !== '*' &&
      origin !== undefined &&
      !origins.includes(origin) &&
      !isSameOrigin(origin, request)
    ) {
      throw new ParleyError('origin_not_allowed');
    }
    if (
      protocols !== undefined &&
      !protocols.split(',').some((protocol) => protocol.trim() === SUBPROTOCOL)
    ) {
      throw new ParleyError('unsupported_subprotocol');
    }
    if (authorization === undefined || this.#context.identities.open) return undefined;
    const token = bearerToken(authorization);
    if (token === undefined) throw new ParleyError('unauthorized');
    return this.#context.identities.verify(token);
  }

  #refuse(
    request: IncomingMessage,
    socket: Duplex,
    error: ParleyError,
    more: Readonly<Record<string, string>> = {},
  ): void {
    this.#context.refused(error.code);
    const { origins, headers } = this.#options;
    const all = { ...headers, ...corsHeaders(origins, request.headers.origin), ...more };
    endWith(socket, rawAnswer(error, all, request), this.#context.clock);
  }

  #beat(): void {
    const now = this.#context.clock.steady();
    this.#part = (this.#part + 1) % HEARTBEAT_PARTS;
    for (const session of this.#sessions[this.#part] as Set<Session>) session.heartbeat(now);
  }
}

function destroy(this: Duplex): void {
  this.destroy();
}

/** Whether the page came from this server, by whatever name that is known outside. */
function isSameOrigin(origin: string, { headers: { host } }: IncomingMessage): boolean {
  if (!URL.canParse(origin)) return false;
  const page = new URL(origin);
  // A proxy may include the default port, which an origin never does.
  const here = `${page.protocol}//${host}`;
  return URL.canParse(here) && new URL(here).host === page.host;
}
