import { connect, type Socket } from 'node:net';
import type { Dialect, Login, Resume } from './dialect.ts';
import { clientFrame, numberIn, OPCODE } from './wire.ts';

/*
 * One client of the load generator: a TCP socket that speaks just enough WebSocket. All clients read into one shared
 * buffer: a read is handed over before the next one begins, so 10,000 clients cost little more than their sockets.
 */

const SHARED = Buffer.allocUnsafe(256 * 1024);
/** As our own client's. */
const CONNECT_TIMEOUT_MS = 10_000;

export type ClientEvents = {
  /** `atMs` is performance.now() when the bytes came. */
  onMessage(client: Client, number: number, atMs: number): void;
  onReady(client: Client): void;
  onRefused(client: Client, code: string, clientId: string | undefined): void;
  /** Why it is gone: `close <code>`, or `timeout` when it was never connected. Not called after `end()`. */
  onClose(client: Client, reason: string): void;
};

type State = 'upgrading' | 'connecting' | 'paging' | 'live' | 'closed';

export class Client {
  readonly user: number;
  /** Where a client that comes back would go on; kept by dialects that can resume. */
  resume: Resume | undefined;
  #state: State = 'upgrading';
  readonly #socket: Socket;
  readonly #dialect: Dialect;
  readonly #login: Login;
  readonly #events: ClientEvents;
  #rest: Buffer | undefined;
  #reason = 'close 1006';
  readonly #timer: NodeJS.Timeout;
  /** Keep the id of the last message in `resume`: costs a search per frame, so only where clients will come back. */
  followIds = false;

  constructor(
    port: number,
    dialect: Dialect,
    user: number,
    login: Login,
    events: ClientEvents,
    resume: Resume | undefined,
  ) {
    this.user = user;
    this.resume = resume;
    this.#dialect = dialect;
    this.#login = login;
    this.#events = events;
    this.#socket = connect({
      host: '127.0.0.1',
      port,
      noDelay: true,
      onread: {
        buffer: SHARED,
        callback: (bytes) => {
          this.#read(bytes);
          return true;
        },
      },
    });
    this.#socket.on('connect', () => this.#socket.write(upgradeRequest(port, dialect)));
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => this.#closed());
    this.#timer = setTimeout(() => {
      this.#reason = 'timeout';
      this.#socket.destroy();
    }, CONNECT_TIMEOUT_MS);
  }

  get live(): boolean {
    return this.#state === 'live';
  }

  send(frame: Buffer): void {
    this.#socket.write(frame);
  }

  /** Stops reading: the server sees a reader that has become slow. */
  pause(): void {
    this.#socket.pause();
  }

  end(): void {
    this.#state = 'closed';
    clearTimeout(this.#timer);
    this.#socket.destroy();
  }

  #closed(): void {
    clearTimeout(this.#timer);
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#events.onClose(this, this.#reason);
  }

  #read(bytes: number): void {
    if (this.#state === 'closed') return;
    const data =
      this.#rest === undefined
        ? SHARED.subarray(0, bytes)
        : Buffer.concat([this.#rest, SHARED.subarray(0, bytes)]);
    this.#rest = undefined;
    let at = 0;
    if (this.#state === 'upgrading') {
      const end = data.indexOf('\r\n\r\n');
      if (end < 0) {
        this.#rest = Buffer.from(data);
        return;
      }
      const status = data.toString('latin1', 9, 12);
      if (status !== '101') {
        this.#events.onRefused(this, `HTTP ${status}`, undefined);
        this.#socket.destroy();
        return;
      }
      at = end + 4;
      this.#state = 'connecting';
      if (this.#dialect.opens === 'client') this.#hello();
    }
    at = this.#frames(data, at);
    if (at < data.length) this.#rest = Buffer.from(data.subarray(at));
  }

  /** Handles all whole frames from `at`; returns where the first incomplete one begins. */
  #frames(data: Buffer, from: number): number {
    const now = performance.now();
    let at = from;
    while (data.length - at >= 2) {
      let length = data[at + 1]! & 127;
      let body = at + 2;
      if (length === 126) {
        if (data.length - at < 4) break;
        length = data.readUInt16BE(at + 2);
        body = at + 4;
      } else if (length === 127) {
        if (data.length - at < 10) break;
        length = Number(data.readBigUInt64BE(at + 2));
        body = at + 10;
      }
      const end = body + length;
      if (end > data.length) break;
      this.#frame(data[at]! & 15, data, body, end, now);
      at = end;
    }
    return at;
  }

  #frame(opcode: number, data: Buffer, start: number, end: number, now: number): void {
    if (opcode === OPCODE.text) {
      if (this.#state === 'live') {
        const number = numberIn(data, start, end);
        if (number >= 0) {
          if (this.followIds && this.resume !== undefined)
            this.#followId(data.toString('latin1', start, end));
          this.#events.onMessage(this, number, now);
          return;
        }
      }
      this.#signal(data.toString('utf8', start, end), now);
    } else if (opcode === OPCODE.ping) {
      this.#socket.write(clientFrame(OPCODE.pong, data.subarray(start, end)));
    } else if (opcode === OPCODE.pong) {
      if (this.#dialect.readyBy === 'pong' && this.#state === 'connecting') this.#ready();
    } else if (opcode === OPCODE.close && end - start >= 2) {
      this.#reason = `close ${data.readUInt16BE(start)}`;
      this.#socket.end(clientFrame(OPCODE.close, data.subarray(start, start + 2)));
    }
  }

  #signal(text: string, now: number): void {
    const signal = this.#dialect.signal(text);
    switch (signal.type) {
      case 'greeting':
        this.#hello();
        break;
      case 'ready':
        if (this.#state !== 'connecting') break;
        if (signal.epoch === undefined) {
          this.#ready();
        } else if (this.resume !== undefined && signal.paging === true) {
          this.#state = 'paging';
        } else {
          this.resume = { since: signal.head!, epoch: signal.epoch };
          this.#ready();
        }
        break;
      case 'page':
        for (const body of signal.texts) {
          const bytes = Buffer.from(body);
          const number = numberIn(bytes, 0, bytes.length);
          if (number >= 0) this.#events.onMessage(this, number, now);
        }
        this.resume = { since: signal.upto, epoch: this.resume!.epoch };
        if (!signal.more && this.#state === 'paging') this.#ready();
        break;
      case 'refused':
        this.#events.onRefused(this, signal.code, signal.clientId);
        break;
      case 'ping':
        this.#socket.write(this.#dialect.pong!);
        break;
      case 'other':
        break;
    }
  }

  #followId(text: string): void {
    const id = /"id":(\d+)/.exec(text)?.[1];
    // The answer to a repeated send stands outside the order of ids.
    if (id !== undefined && Number(id) > this.resume!.since) {
      this.resume = { since: Number(id), epoch: this.resume!.epoch };
    }
  }

  #hello(): void {
    this.#socket.write(this.#dialect.hello(this.#login, this.resume));
    // Frames are handled in order: once the pong is here, so is the hello's effect.
    if (this.#dialect.readyBy === 'pong') this.#socket.write(clientFrame(OPCODE.ping, Buffer.alloc(0)));
  }

  #ready(): void {
    clearTimeout(this.#timer);
    this.#state = 'live';
    this.#events.onReady(this);
  }
}

function upgradeRequest(port: number, dialect: Dialect): string {
  const lines = [
    `GET ${dialect.path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  ];
  if (dialect.subprotocol !== undefined) lines.push(`Sec-WebSocket-Protocol: ${dialect.subprotocol}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}
