import { LIMITS } from '../contract/limits.ts';
import { uuidv7Generator } from '../contract/uuidv7.ts';
import { type Account, Accounts } from './accounts.ts';
import {
  checkListener,
  namedOptions,
  serverUrl,
  usableStorage,
  wrongOptions,
  wrongSend,
} from './arguments.ts';
import { type Clock, systemClock } from './clock.ts';
import { Connection } from './connection.ts';
import { IS_WELCOME, type StateName } from './connection-state.ts';
import { CursorStore } from './cursor-store.ts';
import { Emitter } from './emitter.ts';
import { ClientError, endsSession } from './errors.ts';
import { Http } from './http.ts';
import { Outbox } from './outbox.ts';
import { OutboxStore } from './outbox-store.ts';
import { Signals } from './signals.ts';
import { Stream } from './stream.ts';
import { defaultTransport } from './transport.ts';
import type {
  Client,
  ClientEvents,
  ClientOptions,
  ConnectionState,
  Cursor,
  Listener,
  OutboxEntry,
  PageRequest,
  Session,
} from './types.ts';
import type { ConnectRequest, ErrorNotice, Message, ServerFrame } from './wire.ts';

/**
 * A tab that goes away while its message waits leaves an entry to the others. They look for such as have stood this long.
 */
const ADOPT_EVERY_MS = 60_000;

const NO_ENTRIES: readonly OutboxEntry[] = Object.freeze([]);

/** Makes a client for one user at a time. It does nothing by itself: `login` and `connect` begin. */
export function createClient(options: ClientOptions): Client {
  return new ParleyClient(options);
}

/** Everything of one user: it goes with the session, so that nothing of one is ever sent as another. */
type User = Account & {
  readonly outbox: Outbox;
  readonly cursors: CursorStore | null;
  stream: Stream;
};

class ParleyClient implements Client {
  readonly #options: ClientOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #storagePrefix: string;
  readonly #newId: () => string;
  readonly #emitter: Emitter<ClientEvents>;
  readonly #http: Http;
  readonly #accounts: Accounts;
  readonly #connection: Connection;
  readonly #signals: Signals;
  readonly #unwatchNetwork: () => void;
  #user: User | null = null;
  /** What former users still have to write or to forget. A storage that is read before that tells what is no more. */
  #leaving: Promise<unknown> = Promise.resolve();
  #window = 0;
  /** While the cursor is being read for a `connect`. */
  #reading: AbortController | null = null;
  #made = false;
  #cancelAdopt: () => void = () => {};

  constructor(options: ClientOptions) {
    const transport = options.transport ?? defaultTransport;
    const clock = options.clock ?? systemClock;
    const base = serverUrl(options.url);
    base.pathname = base.pathname.replace(/\/*$/, '/');
    const socketUrl = new URL('ws', base);
    socketUrl.protocol = base.protocol === 'https:' ? 'wss:' : 'ws:';
    this.#options = { ...options, storage: usableStorage(options.storage, options.cursorName) };
    this.#clock = clock;
    this.#random = options.random ?? Math.random;
    this.#storagePrefix = options.storagePrefix ?? `parley:${base.host}${base.pathname}`;
    this.#newId = uuidv7Generator({
      now: () => clock.now(),
      randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
    });
    this.#emitter = new Emitter((error, during) => {
      const listener = `a listener of '${during}'`;
      if (during === 'problem') toConsole(error, listener);
      else this.#problem(error, listener);
    });
    this.#http = new Http({
      base,
      transport,
      clock,
      timeoutMs: options.requestTimeoutMs ?? 15_000,
      ended: (session, because) => {
        if (this.#accounts.endsWith(session)) this.#sessionOver(because);
      },
    });
    this.#accounts = new Accounts(this.#http, this.#emitter, {
      current: () => this.#user,
      begin: (session) => this.#begin(session),
      leave: (because, forget) => this.#leave(because, forget),
      atRest: () => this.#leaving,
    });
    this.#connection = new Connection({
      url: socketUrl.href,
      transport,
      clock,
      random: this.#random,
      backoff: options.backoff ?? {},
      greet: () => this.#greet(),
      receive: (frame) => this.#receive(frame),
      outdated: ({ token }) => this.#accounts.outdated(token),
      changed: (state, before) => this.#connectionChanged(state, before),
      problem: (error) => this.#problem(error, 'the connection'),
    });
    this.#signals = new Signals({
      clock,
      emitter: this.#emitter,
      send: (frame) => this.#connection.send(frame),
      problem: (error, during) => this.#problem(error, during),
    });
    this.#unwatchNetwork = transport.watchNetwork((up) => this.#connection.network(up));
    const session = options.session ?? null;
    if (session !== null) this.#accounts.begin(session);
    if (this.#user !== null) this.#user.stream = new Stream(options.cursor ?? null);
    this.#made = true;
  }

  /** Vue wraps plain objects alone that are put in a `ref` or a store. A wrapped client would have no private fields. */
  get [Symbol.toStringTag](): string {
    return 'ParleyClient';
  }

  get session(): Session | null {
    return this.#accounts.session;
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  get outbox(): readonly OutboxEntry[] {
    return this.#user?.outbox.entries ?? NO_ENTRIES;
  }

  get cursor(): Cursor | null {
    return this.#user?.stream.cursor ?? null;
  }

  on<K extends keyof ClientEvents>(event: K, listener: Listener<ClientEvents[K]>): () => void {
    checkListener(event, listener);
    return this.#emitter.on(event, listener);
  }

  // ---- accounts and history --------------------------------------------------------------------------------------

  async register(userId: string, password: string): Promise<void> {
    this.#accounts.needOpen();
    await this.#http.register(userId, password);
  }

  login(userId: string, password: string): Promise<Session> {
    return this.#accounts.login(userId, password);
  }

  logout(options?: { readonly everywhere?: boolean | undefined }): Promise<void> {
    return this.#accounts.logout(options);
  }

  async changePassword(current: string, next: string): Promise<Session> {
    try {
      return await this.#accounts.changePassword(current, next);
    } finally {
      if (this.#connection.state.name === 'waiting') this.#connection.connect();
    }
  }

  async conversations(page?: PageRequest) {
    const answer = await this.#http.conversations(this.#accounts.needSession(), namedOptions(page));
    this.#signals.exists(answer.conversations[0]?.last_message?.id ?? 0);
    return answer;
  }

  async history(user: string, page?: PageRequest) {
    const answer = await this.#http.history(this.#accounts.needSession(), {
      ...namedOptions(page),
      with: user,
    });
    this.#signals.exists(answer.messages.at(-1)?.id ?? 0);
    return answer;
  }

  async searchUsers(prefix: string, options?: Pick<PageRequest, 'limit'>) {
    return this.#http.users(this.#accounts.needSession(), { prefix, limit: namedOptions(options).limit });
  }

  // ---- live ------------------------------------------------------------------------------------------------------

  connect(): void {
    this.#accounts.needSession();
    const user = this.#user;
    if (user === null || this.#reading !== null) return;
    if (user.cursors === null || user.stream.cursor !== null) {
      this.#connection.connect();
      return;
    }
    const reading = new AbortController();
    this.#reading = reading;
    user.cursors.load(reading.signal, (cursor) => {
      this.#reading = null;
      // A connection that came about meanwhile, by the back-off's timer, knows better. So does one that has asked for it.
      if (user.stream.cursor === null && this.#connection.state.name !== 'greeting')
        user.stream = new Stream(cursor);
      this.#connection.connect();
    });
  }

  disconnect(): void {
    this.#stopReading(new ClientError('disconnected'));
    this.#connection.disconnect();
  }

  online(): Promise<void> {
    return new Promise((resolve, reject) => {
      const settled = (): boolean => {
        const { state } = this;
        if (state.name === 'online') resolve();
        // The state is still that of the attempt before.
        else if (this.#reading !== null) return false;
        else if (state.name === 'stopped') reject(state.because);
        else if (state.name === 'idle')
          reject(new ClientError(this.#accounts.closed ? 'closed' : 'disconnected'));
        else return false;
        return true;
      };
      if (settled()) return;
      const off = this.on('state', () => {
        if (settled()) off();
      });
      // No state tells of a connection that was not even begun.
      const reading = this.#reading?.signal;
      reading?.addEventListener('abort', () => {
        off();
        reject(reading.reason);
      });
    });
  }

  close(): void {
    if (this.#accounts.closed) return;
    const because = new ClientError('closed');
    this.#stopReading(because);
    this.#accounts.close(because);
    this.#unwatchNetwork();
  }

  send(to: string, message: string, options?: { readonly clientId?: string | undefined }): Promise<Message> {
    if (this.#accounts.closed) return Promise.reject(new ClientError('closed'));
    if (this.#user === null) return Promise.reject(new ClientError('no_session'));
    const clientId = options?.clientId;
    const wrong = wrongOptions(options) ?? wrongSend(to, message, clientId);
    if (wrong !== null) return Promise.reject(wrong);
    this.#signals.sent(to);
    return this.#user.outbox.add(clientId ?? this.#newId(), to, message);
  }

  retry(clientId: string): Promise<Message> {
    if (this.#accounts.closed) return Promise.reject(new ClientError('closed'));
    const entry = this.#user?.outbox.get(clientId);
    if (entry === undefined)
      return Promise.reject(new ClientError('not_found', 'The outbox has no such entry.'));
    if (entry.status !== 'failed' || entry.code !== 'client_id_conflict') {
      // Nothing was stored under this id: with the same, two tabs that retry still send one message.
      return this.send(entry.to, entry.message, { clientId });
    }
    this.discard(clientId);
    return this.send(entry.to, entry.message);
  }

  discard(clientId: string): void {
    this.#user?.outbox.discard(clientId);
  }

  markRead(user: string, id: number): void {
    if (this.#hasUser('markRead')) this.#signals.markRead(user, id);
  }

  typing(to: string): void {
    if (this.#hasUser('typing')) this.#signals.typing(to);
  }

  watch(users: readonly string[]): void {
    if (this.#hasUser('watch')) this.#signals.watch(users);
  }

  // ---- inside ----------------------------------------------------------------------------------------------------

  /** What is told without a user would be nobody's, or the next one's: it is passed over. */
  #hasUser(during: string): boolean {
    if (this.#user !== null) return true;
    this.#problem(new ClientError(this.#accounts.closed ? 'closed' : 'no_session'), during);
    return false;
  }

  #begin({ user_id: id }: Session): void {
    if (this.#user !== null) return;
    const { storage, cursorName } = this.#options;
    const prefix = `${this.#storagePrefix}:${encodeURIComponent(id)}`;
    const failed = (error: unknown) => this.#problem(error, 'the storage');
    const store = storage === undefined ? null : new OutboxStore(storage, `${prefix}:outbox:`, failed);
    const outbox = new Outbox(store, {
      clock: this.#clock,
      random: this.#random,
      limit: this.#options.outboxLimit ?? 1_000,
      changed: (change) => this.#emitter.emit('outbox', change),
      transmit: (frame) => this.#connection.send(frame),
      window: () => this.#window,
    });
    const cursors =
      storage === undefined || cursorName === undefined
        ? null
        : new CursorStore(storage, `${prefix}:cursor:${cursorName}`, {
            clock: this.#clock,
            random: this.#random,
            failed,
          });
    this.#user = { id, outbox, cursors, stream: new Stream(null), loggedOut: false };
    outbox.open();
  }

  /** What a listener then calls, as connect() or close(), is neither this user's nor the next one's. */
  #leave(because: ClientError, forget: boolean): void {
    const user = this.#user;
    this.#user = null;
    this.disconnect();
    this.#signals.reset();
    // What the server says to this user is not for the next.
    this.#http.endReads(because);
    if (user === null) return;
    const outbox = user.outbox.close(because, forget);
    if (forget) user.cursors?.forget();
    this.#leaving = Promise.all([this.#leaving, outbox, user.cursors?.idle()]);
  }

  /** The outbox stays: the user is about to log in again. */
  #sessionOver(because: ClientError): void {
    this.#accounts.lost();
    this.#stopReading(because);
    this.#connection.refuse(because);
    this.#emitter.emit('session', { session: null, because });
  }

  #stopReading(because: ClientError): void {
    this.#reading?.abort(because);
    this.#reading = null;
  }

  /** Whether the server has accepted the connection. A listener may end that at any time. */
  get #welcome(): boolean {
    return IS_WELCOME[this.#connection.state.name];
  }

  #greet(): ConnectRequest {
    const { user_id, token } = this.#accounts.needSession();
    const cursor = this.cursor;
    return {
      type: 'connect',
      user_id,
      ...(token !== undefined && { token }),
      ...(cursor !== null && { since: cursor.since, epoch: cursor.epoch }),
    };
  }

  #connectionChanged(state: ConnectionState, before: StateName): void {
    const was = IS_WELCOME[before];
    const is = IS_WELCOME[state.name];
    if (was && !is) {
      this.#cancelAdopt();
      this.#user?.outbox.lost();
      this.#signals.lost();
    }
    // A listener that was told of the sends may have changed it: then it has told of a later one.
    if (this.#connection.state === state) this.#emitter.emit('state', state);
    if (!was && is) {
      this.#signals.welcomed();
      this.#user?.outbox.flush();
      this.#adopt(0);
    }
    if (state.name === 'stopped' && this.#accounts.session !== null && endsSession(state.because.code)) {
      this.#sessionOver(state.because);
    }
  }

  #adopt(olderThanMs: number): void {
    if (!this.#welcome) return;
    this.#cancelAdopt = this.#clock.after(ADOPT_EVERY_MS, () => this.#adopt(ADOPT_EVERY_MS));
    this.#user?.outbox.adopt(olderThanMs);
  }

  #receive(frame: ServerFrame): 'behind' | 'level' {
    const user = this.#user;
    if (user === null) return 'level';
    switch (frame.type) {
      case 'connected': {
        this.#window = Math.min(LIMITS.unansweredPerSocket, frame.limits.unanswered);
        const place = user.stream.connected(frame);
        this.#signals.connected(frame.head, place === 'resync');
        if (place === 'resync') this.#emitter.emit('resync', { epoch: frame.epoch, head: frame.head });
        this.#saveCursor(user);
        return place === 'behind' ? 'behind' : 'level';
      }
      case 'page':
        // Once a listener has gone offline, or logged out, the rest is for the next connection.
        for (const message of frame.messages) if (this.#welcome) this.#message(user, message);
        if (this.#welcome) user.stream.reached(frame.upto);
        this.#saveCursor(user);
        break;
      case 'message':
        this.#message(user, frame);
        break;
      case 'error':
        this.#refusal(user, frame);
        break;
      case 'read':
        this.#signals.read(frame, user.id);
        break;
      case 'typing':
        this.#signals.started(frame.from);
        break;
      case 'presence':
        this.#signals.presence(frame);
        break;
    }
    return 'level';
  }

  #message(user: User, message: Message): void {
    this.#signals.exists(message.id);
    // A listener may make of its message what it likes. Which send it answers is not to be read from that.
    const own = message.from === user.id ? { ...message } : null;
    if (user.stream.isNew(message)) {
      this.#signals.stopped(message.from);
      // A listener that was told of it may have logged out, or closed the client: then the message is for the next one.
      if (this.#user !== user) return;
      user.stream.reached(message.id);
      this.#emitter.emit('message', message);
    }
    if (own !== null) user.outbox.settle(own);
    // Also within a page: what a process that dies there repeats at its next start is one message, not the page.
    this.#saveCursor(user);
  }

  #refusal(user: User, frame: ErrorNotice): void {
    // The end of the connection, which follows, is told by its state.
    if (!this.#welcome || endsSession(frame.code)) return;
    const ofSend = user.outbox.refuse(frame);
    if (frame.client_id !== undefined) return;
    if (frame.retryable) this.#signals.refused();
    // Whether to repeat it is the server's word: a later one may have codes that are not known here.
    const error = new ClientError(frame.code, frame.error, frame);
    if (!ofSend) this.#problem(error, 'a frame that the server refused');
  }

  #saveCursor(user: User): void {
    if (user.stream.cursor !== null) user.cursors?.save(user.stream.cursor);
  }

  #problem(error: unknown, during: string): void {
    // Whoever makes the client can listen only then.
    if (!this.#made) queueMicrotask(() => this.#problem(error, during));
    else if (this.#emitter.has('problem')) this.#emitter.emit('problem', { error, during });
    else toConsole(error, during);
  }
}

/** For want of anybody else to tell: a listener with a fault in it would seem to be never called. */
function toConsole(error: unknown, during: string): void {
  console.error(`parley: a problem with ${during}:`, error);
}
