import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import type { ClientFrame, ServerFrame } from '../../src/client/wire.ts';

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
