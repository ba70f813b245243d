import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { fingerprint, type History, type Protocol } from './history.ts';
import type { Random } from './random.ts';
import type { Frame, MessageFrame } from './wire.ts';

/*
 * One device of a user: one socket at a time, opened again with jittered back-off. It is written against the raw protocol
 * and kept simple on purpose, so that a mistake in the client package cannot hide one in the server: it does not mend,
 * sort or drop anything it receives, it logs it.
 */

/** What a device tells the load. */
export type DeviceEvents = {
  /** A message frame of any kind: a delivery, an echo, or the answer to a repeated send. */
  message(device: Device, frame: MessageFrame): void;
  refused(device: Device, clientId: string | undefined, code: string, retryable: boolean): void;
  /** The socket is gone; what was in flight on it has no known outcome. */
  down(device: Device, socket: number): void;
};

export type DeviceOptions = {
  name: string;
  user: string;
  token: string;
  protocol: Protocol;
  /** A patient device stays on a silent socket; the others give up on it after a few seconds. */
  patient: boolean;
  random: Random;
  history: History;
  /** The nodes' ports on loopback, by node; asked anew for every connection. */
  ports: () => ReadonlyMap<number, number>;
  events: DeviceEvents;
  /** Whether the database holds the message at this moment; undefined when it cannot be asked. */
  peek?: ((id: number) => boolean | undefined) | undefined;
};

const HANDSHAKE_MS = 4_000;
const BACK_OFF_MS = { first: 60, most: 2_000 } as const;
const SILENCE_MS = 6_000;
const PING_EVERY_MS = 2_000;
/** Share of deliveries whose row is looked for at once. */
const PEEKED_SHARE = 0.1;
/** How many ids of received messages are kept as older resume points. */
const MARKS_KEPT = 32;

let socketsOpened = 0;

export class Device {
  readonly name: string;
  readonly user: string;
  readonly protocol: Protocol;
  readonly #options: DeviceOptions;
  #ws: WebSocket | undefined;
  #socket = 0;
  #node = 0;
  #ready = false;
  #caughtUp = false;
  #resuming = false;
  #stopped = true;
  #paused = false;
  #failures = 0;
  #claim: number | undefined;
  #epoch: string | undefined;
  #marks: number[] = [];
  #retry: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;
  #resumeAfter: NodeJS.Timeout | undefined;
  #heardAt = 0;
  #comeBackAfterMs: number | undefined;

  constructor(options: DeviceOptions) {
    this.#options = options;
    this.name = options.name;
    this.user = options.user;
    this.protocol = options.protocol;
  }

  /** Number of the open socket, 0 without one. */
  get socket(): number {
    return this.#socket;
  }
  get node(): number {
    return this.#node;
  }
  /** Whether sends may be written. */
  get ready(): boolean {
    return this.#ready;
  }
  get caughtUp(): boolean {
    return this.#caughtUp;
  }
  get paused(): boolean {
    return this.#paused;
  }
  /** Everything of the user up to this id has been received, as far as the server says. */
  get claim(): number | undefined {
    return this.#claim;
  }

  start(): void {
    this.#stopped = false;
    this.#connect();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#resumeAfter);
    this.#ws?.resume();
    this.#ws?.close(1000);
    const ws = this.#ws;
    setTimeout(() => ws?.terminate(), 500).unref();
  }

  /** Drops the socket without a word, as a network does, and comes back. */
  reconnect(): void {
    this.#ws?.terminate();
  }

  /** Stops reading from the socket for a while. */
  pause(ms: number): void {
    if (this.#ws?.readyState !== WebSocket.OPEN) return;
    if (!this.#paused) this.#options.history.record({ kind: 'paused', socket: this.#socket });
    this.#paused = true;
    this.#ws.pause();
    clearTimeout(this.#resumeAfter);
    this.#resumeAfter = setTimeout(() => this.resume(), ms);
  }

  resume(): void {
    clearTimeout(this.#resumeAfter);
    if (!this.#paused) return;
    this.#paused = false;
    this.#options.history.record({ kind: 'resumed', socket: this.#socket });
    this.#heardAt = performance.now();
    this.#ws?.resume();
  }

  send(clientId: string, to: string, message: string): void {
    const { history, user } = this.#options;
    history.record({ kind: 'invoked', socket: this.#socket, user, clientId, to, text: fingerprint(message) });
    this.#ws?.send(JSON.stringify({ type: 'message', to, message, client_id: clientId }));
  }

  #connect(): void {
    const { random, ports, protocol, user, history } = this.#options;
    const [node, port] = random.pick([...ports()]);
    const socket = ++socketsOpened;
    const url = `ws://127.0.0.1:${port}/ws`;
    const ws = new WebSocket(url, protocol === 'full' ? ['parley.v1'] : [], {
      handshakeTimeout: HANDSHAKE_MS,
      perMessageDeflate: false,
      maxPayload: 64 * 1024 * 1024,
    });
    this.#ws = ws;
    let opened = false;
    let worker = '';
    ws.on('upgrade', (response: IncomingMessage) => {
      worker = String(response.headers['parley-worker'] ?? '');
    });
    ws.on('open', () => {
      opened = true;
      const since = this.#since();
      this.#resuming = since !== undefined;
      this.#socket = socket;
      this.#node = node;
      this.#heardAt = performance.now();
      history.record({
        kind: 'opened',
        socket,
        device: this.name,
        user,
        node,
        worker,
        protocol,
        since: since ?? null,
      });
      ws.send(
        JSON.stringify({
          type: 'connect',
          user_id: user,
          token: this.#options.token,
          since,
          epoch: this.#epoch,
        }),
      );
      // A basic socket gets no answer to its connect; frames sent before it is served wait for it (B3).
      this.#ready = protocol === 'basic';
      this.#caughtUp = protocol === 'basic';
      this.#watch = setInterval(() => this.#checkSilence(ws), PING_EVERY_MS);
    });
    ws.on('message', (data) => {
      this.#heardAt = performance.now();
      this.#receive(JSON.parse(String(data)) as Frame, socket);
    });
    ws.on('pong', () => {
      this.#heardAt = performance.now();
    });
    ws.on('error', () => {});
    ws.on('close', (code, reason) => {
      clearInterval(this.#watch);
      clearTimeout(this.#resumeAfter);
      this.#paused = false;
      this.#ready = false;
      this.#caughtUp = false;
      this.#ws = undefined;
      this.#socket = 0;
      if (opened) {
        history.record({ kind: 'closed', socket, code, reason: String(reason) });
        this.#options.events.down(this, socket);
      }
      if (!this.#stopped) this.#retry = setTimeout(() => this.#connect(), this.#backOffMs());
    });
  }

  /** Mostly where it left off; now and then further back, or as a new device does. */
  #since(): number | undefined {
    const { random, protocol } = this.#options;
    if (protocol === 'basic' || this.#claim === undefined) return undefined;
    if (random.chance(0.03) && this.#marks.length > 0) return random.pick(this.#marks);
    if (random.chance(0.03)) return undefined;
    return this.#claim;
  }

  #backOffMs(): number {
    const asked = this.#comeBackAfterMs;
    this.#comeBackAfterMs = undefined;
    if (asked !== undefined) return Math.min(asked, 5_000);
    const bound = Math.min(BACK_OFF_MS.most, BACK_OFF_MS.first * 2 ** this.#failures++);
    return this.#options.random.between(bound / 2, bound);
  }

  #checkSilence(ws: WebSocket): void {
    if (this.#options.patient || this.#paused || ws.readyState !== WebSocket.OPEN) return;
    if (performance.now() - this.#heardAt > SILENCE_MS) ws.terminate();
    else ws.ping();
  }

  #receive(frame: Frame, socket: number): void {
    const { history } = this.#options;
    switch (frame.type) {
      case 'message':
        this.#failures = 0;
        if (frame.repeat === true) this.#answer(frame, socket);
        else {
          this.#deliver(frame, socket, 'live');
          this.#claim = Math.max(this.#claim ?? 0, frame.id);
        }
        break;
      case 'connected':
        this.#failures = 0;
        history.record({
          kind: 'connected',
          socket,
          epoch: frame.epoch,
          head: frame.head,
          resync: frame.resync,
        });
        this.#epoch = frame.epoch;
        this.#ready = true;
        if (!this.#resuming || frame.resync) {
          this.#claim = frame.head;
          this.#caughtUp = true;
        }
        break;
      case 'page':
        for (const message of frame.messages) this.#deliver(message, socket, 'page');
        history.record({ kind: 'page', socket, upto: frame.upto, more: frame.more });
        this.#claim = Math.max(this.#claim ?? 0, frame.upto);
        if (!frame.more) this.#caughtUp = true;
        break;
      case 'error':
        this.#fail(frame.code, frame.retryable, frame.client_id, socket);
        break;
      case 'closing':
        this.#comeBackAfterMs = frame.reconnect_after_ms ?? undefined;
        break;
      case 'pong':
        break;
    }
    if (this.protocol === 'basic' && frame.type !== 'message' && frame.type !== 'error') {
      this.#fail(`unexpected frame ${frame.type}`, false, undefined, socket);
    }
  }

  #deliver(frame: MessageFrame, socket: number, via: 'page' | 'live'): void {
    const { history, events, random } = this.#options;
    const { id, from, to, client_id: clientId } = frame;
    const text = fingerprint(frame.message);
    history.record({ kind: 'delivered', socket, via, id, from, to, text, clientId });
    const stored = random.chance(PEEKED_SHARE) ? this.#options.peek?.(id) : undefined;
    if (stored !== undefined) history.record({ kind: 'peeked', socket, id, stored });
    if (random.chance(0.02)) this.#marks.push(id);
    if (this.#marks.length > MARKS_KEPT) this.#marks.shift();
    if (from === this.user) this.#acknowledge(frame, socket, text);
    events.message(this, frame);
  }

  #answer(frame: MessageFrame, socket: number): void {
    this.#acknowledge(frame, socket, fingerprint(frame.message));
    this.#options.events.message(this, frame);
  }

  #acknowledge(frame: MessageFrame, socket: number, text: string): void {
    const { id, to, client_id: clientId } = frame;
    const repeat = frame.repeat === true;
    this.#options.history.record({
      kind: 'acknowledged',
      socket,
      user: this.user,
      clientId,
      id,
      repeat,
      to,
      text,
    });
  }

  #fail(code: string, retryable: boolean, clientId: string | undefined, socket: number): void {
    const { history, events, user } = this.#options;
    history.record({ kind: 'failed', socket, user, clientId: clientId ?? null, code, final: !retryable });
    events.refused(this, clientId, code, retryable);
  }
}
