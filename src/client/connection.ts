import { CLOSE, type ErrorCode, isErrorCode } from '../contract/errors.ts';
import { type BackoffOptions, backoffMs } from './backoff.ts';
import { type Clock, elapsedMs } from './clock.ts';
import { type ConnectionEvent, HAS_SOCKET, IS_WELCOME, next, type StateName } from './connection-state.ts';
import { ClientError, endsSession } from './errors.ts';
import { parseFrame } from './frame.ts';
import type { Socket, Transport } from './transport.ts';
import type { ConnectionState } from './types.ts';
import type { ClientFrame, Closing, ConnectRequest, ErrorNotice, ServerFrame } from './wire.ts';

/** Silence after which the server is asked whether it is there, and the time it has to answer. */
const SILENCE_MS = 20_000;
const ANSWER_MS = 10_000;
/** Time to open a socket, and to be answered on it. */
const OPEN_MS = 10_000;
/** Time a server has to close after it said that it would. */
const CLOSING_MS = 5_000;
/** A connection that lived this long was a good one: the next back-off begins anew. */
const STABLE_MS = 2_000;

export type ConnectionOptions = {
  readonly url: string;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: () => number;
  readonly backoff: BackoffOptions;
  /** The first frame of a socket. */
  readonly greet: () => ConnectRequest;
  /** Every frame but `closing` and `pong`. For `connected`, says whether pages follow. */
  readonly receive: (frame: ServerFrame) => 'behind' | 'level';
  /** Whether a 4401 is no news, because the socket was opened with a token that has been replaced. */
  readonly outdated: (greeting: ConnectRequest) => boolean;
  readonly changed: (state: ConnectionState, before: StateName) => void;
  readonly problem: (error: unknown) => void;
};

const FATAL_CLOSES: ReadonlyMap<number, ErrorCode> = new Map([
  [CLOSE.unsupported.code, 'invalid_frame'],
  [CLOSE.tooLarge.code, 'invalid_frame'],
  [CLOSE.badRequest.code, 'invalid_request'],
  [CLOSE.unauthorized.code, 'unauthorized'],
  [CLOSE.forbidden.code, 'forbidden'],
  [CLOSE.unknownUser.code, 'unknown_user'],
]);

/** Drives one socket after another by the transition table. */
export class Connection {
  readonly #options: ConnectionOptions;
  #name: StateName = 'idle';
  #state: ConnectionState = { name: 'idle' };
  #socket: Socket | null = null;
  #greeting: ConnectRequest | null = null;
  /** The one timer: time-out, heartbeat or back-off, whichever the state has. */
  #cancelTimer: () => void = () => {};
  #attempt = 0;
  #welcomedAt = 0;
  #notice: Closing | null = null;
  #lastError: ErrorNotice | null = null;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Whether frames go out. Not after the server's notice: what it would not answer is better sent on the next socket. */
  get writable(): boolean {
    return IS_WELCOME[this.#name] && this.#notice === null;
  }

  send(frame: ClientFrame): boolean {
    if (!this.writable) return false;
    return this.#put(frame);
  }

  connect(): void {
    this.#apply('connect');
  }

  disconnect(): void {
    this.#attempt = 0;
    this.#apply('disconnect');
  }

  /** Ends it from this side: the session is over. */
  refuse(because: ClientError): void {
    this.#apply('refused', because);
  }

  network(up: boolean): void {
    // What failed without a network says nothing about the server: an attempt that is just failing must not be followed
    // by the long wait that those before it have earned.
    if (up) this.#attempt = 0;
    this.#apply(up ? 'network-up' : 'network-down');
  }

  #apply(event: ConnectionEvent, because = new ClientError('connection_lost'), delayMs?: number): void {
    const before = this.#name;
    const after = next(before, event);
    if (after === before) return;
    this.#name = after;
    if (!HAS_SOCKET[after]) this.#dropSocket();
    const livedMs = elapsedMs(this.#options.clock, this.#welcomedAt);
    if (IS_WELCOME[before] && !IS_WELCOME[after] && livedMs >= STABLE_MS) this.#attempt = 0;
    if (after === 'waiting') {
      const ms = delayMs ?? backoffMs(this.#attempt, this.#options.random, this.#options.backoff);
      this.#attempt += 1;
      this.#state = { name: after, retryAt: this.#now() + ms, because };
      this.#timer(ms, () => this.#apply('due'));
    } else if (after === 'stopped') {
      this.#state = { name: after, because };
    } else {
      this.#state = { name: after };
      this.#enter(after);
    }
    this.#options.changed(this.#state, before);
  }

  #enter(state: Exclude<StateName, 'waiting' | 'stopped'>): void {
    switch (state) {
      case 'idle':
        break;
      case 'connecting':
        this.#openSocket();
        break;
      case 'greeting':
        this.#timer(OPEN_MS, () => this.#apply('lost', new ClientError('timeout')));
        this.#greeting = this.#options.greet();
        this.#put(this.#greeting);
        break;
      case 'catching-up':
      case 'online':
        this.#listen();
        break;
    }
  }

  #openSocket(): void {
    this.#notice = null;
    this.#lastError = null;
    this.#greeting = null;
    this.#timer(OPEN_MS, () => this.#apply('lost', new ClientError('timeout')));
    // What a socket says after it has been dropped is about the past.
    const current = (run: () => void) => {
      if (this.#socket === socket) run();
    };
    let socket: Socket | null = null;
    try {
      socket = this.#options.transport.open(this.#options.url, {
        opened: () => current(() => this.#apply('opened')),
        frame: (text) => current(() => this.#frame(text)),
        closed: (code, reason) => current(() => this.#closed(code, reason)),
      });
    } catch (error) {
      this.#options.problem(error);
      this.#timer(0, () => this.#apply('lost', new ClientError('network', undefined, { cause: error })));
    }
    this.#socket = socket;
  }

  #dropSocket(): void {
    this.#cancelTimer();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #frame(text: string): void {
    if (this.writable) this.#listen();
    let frame: ServerFrame | null;
    try {
      frame = parseFrame(text);
    } catch (error) {
      this.#options.problem(error);
      return;
    }
    if (frame === null || frame.type === 'pong') return;
    if (frame.type === 'closing') {
      this.#notice = frame;
      this.#timer(CLOSING_MS, () => this.#closed(1006, ''));
      return;
    }
    if (frame.type === 'error') this.#lastError = frame;
    const socket = this.#socket;
    let place: 'behind' | 'level';
    try {
      place = this.#options.receive(frame);
    } catch (error) {
      // Parts that the contract names are missing. To go on behind it might leave a hole: the next socket begins before it.
      this.#options.problem(error);
      this.#apply('lost', new ClientError('bad_answer', undefined, { cause: error }));
      return;
    }
    // A listener may have disconnected.
    if (this.#socket !== socket) return;
    if (frame.type === 'connected') {
      this.#welcomedAt = this.#now();
      this.#apply(place === 'behind' ? 'welcomed-behind' : 'welcomed-level');
    } else if (frame.type === 'page' && !frame.more) {
      this.#apply('caught-up');
    }
  }

  /**
   * Codes that are not in the contract (1001, 1011, …) come from something between here and the server: they say nothing
   * about this client, and are taken as 1006.
   */
  #closed(code: number, reason: string): void {
    const notice = this.#notice;
    const fatal = FATAL_CLOSES.get(code);
    const because = this.#reason(fatal ?? 'connection_lost', reason);
    if (fatal === undefined && notice?.reconnect_after_ms !== null) {
      this.#apply('lost', because, notice?.reconnect_after_ms);
    } else if (
      // The close itself may be lost behind its notice.
      (code === CLOSE.unauthorized.code || endsSession(because.code)) &&
      this.#greeting !== null &&
      this.#options.outdated(this.#greeting)
    ) {
      this.#apply('lost', because);
    } else {
      this.#apply('refused', because);
    }
  }

  /** The most telling of what was said before the end: the notice, the refusal of the greeting, the close code. */
  #reason(code: ErrorCode | 'connection_lost', reason: string): ClientError {
    const notice = this.#notice;
    if (notice !== null) return new ClientError(isErrorCode(notice.code) ? notice.code : code, notice.error);
    const error = IS_WELCOME[this.#name] ? null : this.#lastError;
    if (error !== null && isErrorCode(error.code)) return new ClientError(error.code, error.error);
    return new ClientError(code, reason === '' ? undefined : reason);
  }

  /**
   * Watches the silence that begins now: TCP alone may take a quarter of an hour to notice that the other side is gone.
   * With timers alone, for the clock may be set meanwhile.
   */
  #listen(): void {
    this.#timer(SILENCE_MS, () => {
      this.#put({ type: 'ping' });
      this.#timer(ANSWER_MS, () => this.#apply('lost', new ClientError('timeout')));
    });
  }

  #put(frame: ClientFrame): boolean {
    try {
      this.#socket?.send(JSON.stringify(frame));
      return true;
    } catch (error) {
      // Its `closed` is on the way.
      this.#options.problem(error);
      return false;
    }
  }

  #timer(ms: number, run: () => void): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.clock.after(ms, run);
  }

  #now(): number {
    return this.#options.clock.now();
  }
}
