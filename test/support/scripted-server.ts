import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Socket, SocketEvents, Transport } from '../../src/client/index.ts';
import type { ClientFrame, Connected, Message, ServerFrame } from '../../src/client/wire.ts';

export { ManualClock } from './manual-clock.ts';

/** A queue that one side fills and the other awaits. */
class Mailbox<T> {
  readonly #items: T[] = [];
  readonly #takers: ((item: T) => void)[] = [];

  put(item: T): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#items.push(item);
    else taker(item);
  }

  take(): Promise<T> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  get size(): number {
    return this.#items.length;
  }
}

/** The server's end of one socket, played by the test. */
export class ScriptedSocket {
  readonly subprotocol: string;
  readonly #socket: WebSocket;
  readonly #frames = new Mailbox<ClientFrame>();

  constructor(socket: WebSocket) {
    this.#socket = socket;
    this.subprotocol = socket.protocol;
    socket.on('message', (data) => this.#frames.put(JSON.parse(data.toString())));
  }

  /** The next frame from the client. */
  frame(): Promise<ClientFrame> {
    return this.#frames.take();
  }

  async frameOf<T extends ClientFrame['type']>(type: T): Promise<Extract<ClientFrame, { type: T }>> {
    const frame = await this.frame();
    if (frame.type !== type) throw new Error(`expected ${type}, got ${JSON.stringify(frame)}`);
    return frame as Extract<ClientFrame, { type: T }>;
  }

  /** Frames that have come and were not taken. */
  get waiting(): number {
    return this.#frames.size;
  }

  send(...frames: ServerFrame[]): void {
    for (const frame of frames) this.#socket.send(JSON.stringify(frame));
  }

  close(code: number): void {
    this.#socket.close(code);
  }

  /** No close frame, as when a process is killed. */
  kill(): void {
    this.#socket.terminate();
  }
}

type Answer = (
  request: IncomingMessage,
  body: string,
) => { status?: number; headers?: object; body: unknown };

/** A real HTTP and WebSocket server that says what the test tells it to. */
export class ScriptedServer {
  readonly url: string;
  readonly #http: Server;
  readonly #sockets: Mailbox<ScriptedSocket>;

  private constructor(http: Server, sockets: Mailbox<ScriptedSocket>) {
    this.#http = http;
    this.#sockets = sockets;
    this.url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  }

  static async start(answer?: Answer): Promise<ScriptedServer> {
    const sockets = new Mailbox<ScriptedSocket>();
    const http = createServer((request, response) => respond(answer, request, response));
    new WebSocketServer({ server: http, path: '/ws' }).on('connection', (socket) =>
      sockets.put(new ScriptedSocket(socket)),
    );
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    return new ScriptedServer(http, sockets);
  }

  /** The next socket that a client opens. */
  socket(): Promise<ScriptedSocket> {
    return this.#sockets.take();
  }

  stop(): Promise<void> {
    this.#http.closeAllConnections();
    return new Promise((resolve) => this.#http.close(() => resolve()));
  }
}

async function respond(answer: Answer | undefined, request: IncomingMessage, response: ServerResponse) {
  let text = '';
  for await (const chunk of request) text += chunk;
  const {
    status = 200,
    headers = {},
    body,
  } = answer?.(request, text) ?? { status: 404, body: { error: 'none' } };
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** One socket of `FakeTransport`, seen from the server. */
export class FakeSocket implements Socket {
  readonly sent: ClientFrame[] = [];
  readonly events: SocketEvents;
  closedByClient = false;

  constructor(events: SocketEvents) {
    this.events = events;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.closedByClient = true;
  }

  says(...frames: ServerFrame[]): void {
    for (const frame of frames) this.events.frame(JSON.stringify(frame));
  }

  /** What the client has sent since the last call. */
  take(): ClientFrame[] {
    return this.sent.splice(0);
  }
}

/** A transport without a network: everything happens when the test says so. */
export class FakeTransport implements Transport {
  readonly sockets: FakeSocket[] = [];
  network: (up: boolean) => void = () => {};

  open(_url: string, events: SocketEvents): Socket {
    const socket = new FakeSocket(events);
    this.sockets.push(socket);
    return socket;
  }

  fetch(): Promise<Response> {
    return Promise.reject(new TypeError('no network here'));
  }

  watchNetwork(changed: (up: boolean) => void): () => void {
    this.network = changed;
    return () => {
      this.network = () => {};
    };
  }

  get last(): FakeSocket {
    return this.sockets.at(-1)!;
  }

  /** Opens the newest socket and welcomes the client on it. @returns the socket, its `connect` frame taken */
  welcome(frame: Partial<Connected> = {}): FakeSocket {
    const socket = this.last;
    socket.events.opened();
    socket.take();
    socket.says(connected(frame));
    return socket;
  }
}

export const connected = (frame: Partial<Connected> = {}): Connected => ({
  type: 'connected',
  user_id: 'alice',
  epoch: 'e1',
  head: 0,
  resync: false,
  heartbeat_ms: 25_000,
  limits: { message_units: 8_000, frame_bytes: 65_536, unanswered: 1_000 },
  ...frame,
});

export const stored = (id: number, frame: Partial<Message> = {}): Message => ({
  type: 'message',
  from: 'bob',
  to: 'alice',
  message: `message ${id}`,
  id,
  timestamp: '2026-01-31 12:00:00',
  client_id: `server-${id}`,
  ...frame,
});
