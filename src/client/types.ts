/**
 * The public surface of the package. Data that crosses the wire keeps the wire's names (`client_id`, `user_id`), so that
 * the contract's rules can be read beside it; what belongs to the client alone is in camelCase.
 */
import type { BackoffOptions } from './backoff.ts';
import type { Clock } from './clock.ts';
import type { StateName } from './connection-state.ts';
import type { ClientError, ClientErrorCode } from './errors.ts';
import type { KeyValueStorage } from './storage.ts';
import type { Transport } from './transport.ts';
import type { ConversationsPage, HistoryPage, Message, Presence, ReadMark } from './wire.ts';

/** Who is logged in. To survive a reload, keep it (for example in `sessionStorage`) and pass it to `createClient`. */
export type Session = {
  readonly user_id: string;
  /** Absent on a server with `AUTH=open`. */
  readonly token?: string | undefined;
  /** ISO 8601. Absent on a server with `AUTH=open`. */
  readonly expires_at?: string | undefined;
};

/** A place in the stream of a user's messages: everything up to `since` has been delivered. */
export type Cursor = { readonly epoch: string; readonly since: number };

export type ClientOptions = {
  /** The server's address, `https://chat.example.org`, with or without a path. In a web page: `location.origin`. */
  readonly url: string;
  /** The result of an earlier `login`, or null. */
  readonly session?: Session | null | undefined;
  /** Keeps unsent messages (and the cursor) beyond the life of this object: `webStorage(localStorage)`. Default: memory only. */
  readonly storage?: KeyValueStorage | undefined;
  /**
   * Where `session` is to resume. Without it, the first `connect` begins with the messages sent after it. Ignored without
   * `session`: a `login` begins without a cursor, or with the one kept under `cursorName`.
   */
  readonly cursor?: Cursor | null | undefined;
  /**
   * Keeps the cursor in `storage`, which it needs, under this name, and saves it after each delivery. Use it only if you
   * keep the messages, too. Two clients that run at once must not share a name.
   */
  readonly cursorName?: string | undefined;
  /** Prefix of the keys in `storage`; `parley:<host><path>` by default. */
  readonly storagePrefix?: string | undefined;
  /** The outbox holds this many entries, including failed ones; 1,000 by default. Beyond that, `send` rejects with `outbox_full`. */
  readonly outboxLimit?: number | undefined;
  /** Time that one HTTP request may take, in milliseconds; 15,000 by default. */
  readonly requestTimeoutMs?: number | undefined;
  /** Of the waits between attempts to connect. */
  readonly backoff?: BackoffOptions | undefined;
  /** Default: the global `WebSocket` and `fetch`. */
  readonly transport?: Transport | undefined;
  /** Default: the system's. */
  readonly clock?: Clock | undefined;
  /** For the jitter; uniform in [0, 1). Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
};

/**
 * - `idle`: `connect()` was not called, or `disconnect()` was.
 * - `connecting`: opening the socket.
 * - `greeting`: waiting for the answer to the `connect` frame.
 * - `catching-up`: receiving the messages that were missed. Sends already go out.
 * - `online`: live.
 * - `waiting`: the connection was lost. The next attempt is at `retryAt` (ms since 1970), or when the network comes back.
 * - `stopped`: the server refused, and the client does not try again by itself. `connect()` makes it try.
 */
export type ConnectionState =
  | { readonly name: 'idle' }
  | { readonly name: 'connecting' | 'greeting' | 'catching-up' | 'online' }
  | { readonly name: 'waiting'; readonly retryAt: number; readonly because: ClientError }
  | { readonly name: 'stopped'; readonly because: ClientError };

type Assert<T extends true> = T;
/** Every state of the transition table has its shape here, and no other does. */
export type StatesAgree = Assert<
  [ConnectionState['name'], StateName] extends [StateName, ConnectionState['name']] ? true : false
>;

/** A message on its way. It leaves the outbox once the server has stored it. */
export type OutboxEntry = {
  readonly client_id: string;
  readonly to: string;
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly created_at: number;
} & (
  | { readonly status: 'queued' | 'sent' }
  /** Refused for good. It stays until `retry` or `discard`. */
  | { readonly status: 'failed'; readonly code: ClientErrorCode; readonly error: string }
);

export type OutboxChange =
  | { readonly kind: 'added' | 'updated' | 'removed'; readonly entry: OutboxEntry }
  /** The server has stored it. `message` is the original, whether or not a `message` event has delivered it yet. */
  | { readonly kind: 'settled'; readonly entry: OutboxEntry; readonly message: Message };

export type SessionChange = {
  readonly session: Session | null;
  /** The reason, if the server ended the session (`token_expired`, `token_revoked`, …). */
  readonly because?: ClientError;
};

export type ClientEvents = {
  /** A message from or to this user, including the user's own: in ascending `id`, each once. */
  message: Message;
  state: ConnectionState;
  session: SessionChange;
  /** How far somebody has read a conversation: this user, here or on another device, or the other participant. */
  read: ReadMark;
  /** `typing: false` comes after 6 s of silence, when their message arrives, or when the connection is lost. */
  typing: { readonly from: string; readonly typing: boolean };
  /** Changes among the watched users. The first event after `watch`, and after each reconnect, names them all. */
  presence: Presence;
  /**
   * Discard the local history, and load it again. Either it is not the server's (which restored a backup), or nobody knows how
   * far it goes (a stored cursor can't be read). Live messages continue.
   */
  resync: { readonly epoch: string; readonly head: number };
  outbox: OutboxChange;
  /** A failure that no call or state reports: a storage that failed, a listener that threw, a refused signal. */
  problem: { readonly error: unknown; readonly during: string };
};

/** Which page: the newest, or the one before an id. `before` takes the last page's `next_before`. */
export type PageRequest = { readonly before?: number | undefined; readonly limit?: number | undefined };

/**
 * May be asynchronous, but is not awaited. A throw or a rejection is reported as a `problem`; if nobody listens to that, on the
 * console.
 */
export type Listener<T> = (event: T) => void;

export interface Client {
  readonly session: Session | null;
  readonly state: ConnectionState;
  /** In the order of sending. Like `session`, `state` and `cursor`, the same object until it changes. */
  readonly outbox: readonly OutboxEntry[];
  /** How far messages have been delivered; null before the first connection. */
  readonly cursor: Cursor | null;

  /**
   * @returns the function that unsubscribes
   * @throws ClientError for an event that there is not, and for what is no function
   */
  on<K extends keyof ClientEvents>(event: K, listener: Listener<ClientEvents[K]>): () => void;

  // ---- accounts and history (HTTP). They reject with a `ClientError`; nothing is retried. What is asked of history, users
  // and conversations rejects with `logged_out` when the user logs out, or another logs in, before the answer. ----

  /** Creates the account. Does not log in. */
  register(userId: string, password: string): Promise<void>;
  /**
   * Begins a session. One of another user ends: that user's unanswered sends reject with `logged_out`, and stay in `storage`.
   * A login rejects so, too, that is answered after a later one of another user, or after a `logout` that was called since. What
   * rejects has begun no session: one that the server has granted meanwhile is ended.
   */
  login(userId: string, password: string): Promise<Session>;
  /**
   * Ends the session here, or everywhere, and forgets this user's unsent messages on this device, even if the server has
   * already ended the session. Resolves when both are done; so does a second call meanwhile. If the request fails, it rejects:
   * the session is over locally, but its token, or those of the user's other sessions, stay valid until they expire. Everywhere
   * without a session rejects with `no_session`: the others go on.
   */
  logout(options?: { readonly everywhere?: boolean | undefined }): Promise<void>;
  /**
   * Ends all other sessions. This one continues with a new token, which is ended, too, if the user logs out before the answer. If
   * the client is closed before it, or another user logs in, the session that it resolves with is the caller's to keep, or to end.
   */
  changePassword(current: string, next: string): Promise<Session>;
  conversations(page?: PageRequest): Promise<ConversationsPage>;
  history(user: string, page?: PageRequest): Promise<HistoryPage>;
  /** Ids of users that begin with `prefix`, in byte order, without the user's own. */
  searchUsers(prefix: string, options?: Pick<PageRequest, 'limit'>): Promise<string[]>;

  // ---- live ----

  /** Connects and stays connected, until `disconnect`, `close`, or a refusal. Needs a session. */
  connect(): void;
  /** Goes offline. The outbox is kept, and `connect` resumes where the stream was. */
  disconnect(): void;
  /** Resolves when the state is `online`. Rejects when it is or becomes `stopped` or `idle`, or when the `connect` is called off. */
  online(): Promise<void>;
  /**
   * Ends the client for good. Pending sends reject with `closed`, and so do a `login` and what is asked of history, users and
   * conversations. A `register`, `logout` or `changePassword` that is under way is seen through, and settles with its answer.
   * The next client sends the entries kept in `storage`.
   */
  close(): void;

  /**
   * Resolves when the message is on the server's disk. Rejects only when it is refused for good, the outbox is full,
   * or the caller ends the session or the client. Works offline.
   *
   * `clientId` makes the send idempotent for ever: visible ASCII, 64 characters at most. Default: a new UUIDv7.
   */
  send(to: string, message: string, options?: { readonly clientId?: string | undefined }): Promise<Message>;
  /** Sends a failed entry again: under its `client_id`, or under a new one if it failed with `client_id_conflict`. */
  retry(clientId: string): Promise<Message>;
  /** Forgets an entry. If it has not failed, the server may have stored it already, or may still do so. */
  discard(clientId: string): void;

  // `markRead`, `typing` and `watch` ignore what can't be an id, and every call before a login, and emit `problem`.

  /**
   * Marks the conversation with `user` as read up to `id`. Kept and repeated until the server confirms it. An id above the
   * newest message counts as that message's: later messages stay unread.
   */
  markRead(user: string, id: number): void;
  /** Call it on every key stroke; it sends a frame every 3 s at most. Does nothing offline. */
  typing(to: string): void;
  /**
   * Follows the presence of these users, 200 at most. Replaces the previous set.
   * @throws ClientError for more users, and for what is no list
   */
  watch(users: readonly string[]): void;
}
