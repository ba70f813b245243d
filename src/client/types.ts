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

/** Who is logged in. Keep it (for example in `sessionStorage`) and give it to `createClient` to survive a reload. */
export type Session = {
  readonly user_id: string;
  /** Absent on a server with `AUTH=open`. */
  readonly token?: string | undefined;
  /** ISO 8601. */
  readonly expires_at?: string | undefined;
};

/** A place in the stream of a user's messages: everything up to `since` has been delivered. */
export type Cursor = { readonly epoch: string; readonly since: number };

export type ClientOptions = {
  /** Where the server is: `https://chat.example.org`, or with a path. In a web page, `location.origin`. */
  readonly url: string;
  /** From an earlier `login`. */
  readonly session?: Session | undefined;
  /** Where unsent messages (and the cursor) outlive this object: `webStorage(localStorage)`. None: in memory only. */
  readonly storage?: KeyValueStorage | undefined;
  /** Where to resume. Without it the first `connect` begins with the messages sent after it. */
  readonly cursor?: Cursor | undefined;
  /**
   * Keep the cursor in `storage` under this name, saved after each delivery. Only for callers that keep the messages
   * too. Two clients that run at once must not share a name.
   */
  readonly cursorName?: string | undefined;
  /** Prefix of the keys in `storage`; `parley:<host><path>` by default. */
  readonly storagePrefix?: string | undefined;
  /** Most entries in the outbox, failed ones included; 1,000 by default. `send` rejects with `outbox_full` beyond it. */
  readonly outboxLimit?: number | undefined;
  /** Time one HTTP request may take, in milliseconds; 15,000 by default. */
  readonly requestTimeoutMs?: number | undefined;
  readonly backoff?: BackoffOptions | undefined;
  readonly transport?: Transport | undefined;
  readonly clock?: Clock | undefined;
  /** Uniform in [0, 1); for the jitter. */
  readonly random?: (() => number) | undefined;
};

/**
 * - `idle`: not asked to connect.
 * - `connecting`, `greeting`: opening the socket; waiting for the answer to the `connect` frame.
 * - `catching-up`: messages sent meanwhile arrive. Sends go out already.
 * - `online`: live.
 * - `waiting`: the connection was lost; tried again at `retryAt` (ms since 1970), or sooner when the network comes back.
 * - `stopped`: the server refused, and trying again as before is pointless. `connect()` tries all the same.
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

/** A message on its way. It leaves the outbox when the server has stored it. */
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
  /** Stored: `message` is the original, whether or not the stream has delivered it yet. */
  | { readonly kind: 'settled'; readonly entry: OutboxEntry; readonly message: Message };

export type SessionChange = {
  readonly session: Session | null;
  /** Why it ended, when the server ended it (`token_expired`, `token_revoked`, …). */
  readonly because?: ClientError;
};

export type ClientEvents = {
  /** From or to this user, own echoes included: ascending `id`, each once. */
  message: Message;
  state: ConnectionState;
  session: SessionChange;
  /** Up to where someone has read: the user, here or on another device, or the other participant. */
  read: ReadMark;
  /** `typing: false` comes after 6 s of silence, when their message arrives, or when the connection is lost. */
  typing: { readonly from: string; readonly typing: boolean };
  /** Among the watched users. The first after `watch`, and after each reconnect, names them all. */
  presence: Presence;
  /**
   * Local history is of another past (a restored backup), or nobody knows up to where it goes (a stored cursor that can't
   * be read): forget it, load it again. Live messages go on.
   */
  resync: { readonly epoch: string; readonly head: number };
  outbox: OutboxChange;
  /** Something went wrong that no call is waiting for: a storage that failed, a listener that threw, a refused signal. */
  problem: { readonly error: unknown; readonly during: string };
};

/** Which page: the newest, or that before an id, as `next_before` of the last one says. */
export type PageRequest = { readonly before?: number | undefined; readonly limit?: number | undefined };

/** It is not waited for if it is asynchronous; a rejection counts as a throw, and is told as a `problem`. */
export type Listener<T> = (event: T) => void;

export interface Client {
  readonly session: Session | null;
  readonly state: ConnectionState;
  /** In the order of sending. */
  readonly outbox: readonly OutboxEntry[];
  /** Up to where messages have been delivered; null before the first connection. */
  readonly cursor: Cursor | null;

  /** Returns the function that ends the subscription. */
  on<K extends keyof ClientEvents>(event: K, listener: Listener<ClientEvents[K]>): () => void;

  // ---- accounts and history (HTTP). They reject with a `ClientError`; nothing is retried. ----

  register(userId: string, password: string): Promise<void>;
  login(userId: string, password: string): Promise<Session>;
  /**
   * Ends the session here, or everywhere, and forgets this user's unsent messages on this device, also when the server has
   * ended the session before; resolves when both are done. The session is over locally even when the request fails (then it rejects, and the token lives on until it
   * expires).
   */
  logout(options?: { readonly everywhere?: boolean | undefined }): Promise<void>;
  /** All other sessions end; this one goes on with a new token. */
  changePassword(current: string, next: string): Promise<Session>;
  conversations(page?: PageRequest): Promise<ConversationsPage>;
  history(user: string, page?: PageRequest): Promise<HistoryPage>;
  /** Ids that begin with `prefix`, in byte order, without one's own. */
  searchUsers(prefix: string, options?: Pick<PageRequest, 'limit'>): Promise<string[]>;

  // ---- live ----

  /** Connects and stays connected, until `disconnect`, `close`, or a refusal. Needs a session. */
  connect(): void;
  /** Goes offline. The outbox is kept, and `connect` resumes where it was. */
  disconnect(): void;
  /** Resolves when the state is `online`; rejects when it is or becomes `stopped` or `idle`, or `connect` was given up. */
  online(): Promise<void>;
  /** Ends for good. Promises of unanswered sends, and of pages asked for, reject with `closed`; stored entries are sent by the next client. */
  close(): void;

  /**
   * Resolves when the message is on the server's disk. Rejects only when it is refused for good, the outbox is full,
   * or the caller ends the session or the client. Works offline.
   *
   * `clientId` makes one send idempotent for ever (a UUIDv7 is made otherwise): visible ASCII, 64 characters at most.
   */
  send(to: string, message: string, options?: { readonly clientId?: string | undefined }): Promise<Message>;
  /** Sends a failed entry again, as a new message. */
  retry(clientId: string): Promise<Message>;
  /** Forgets an entry. One that is not failed may have been stored already, or may be yet. */
  discard(clientId: string): void;

  // `markRead`, `typing` and `watch` pass over what can't be an id, and everything before a login; a `problem` tells.

  /**
   * Everything of the conversation with `user` up to `id` has been read. Kept and repeated until the server confirms it.
   * An id above the newest message counts as that one: what comes later stays unread.
   */
  markRead(user: string, id: number): void;
  /** Call it on every key stroke; a frame goes out every 3 s at most. Nothing happens offline. */
  typing(to: string): void;
  /** Follow the presence of these users, 200 at most; replaces the last set. */
  watch(users: readonly string[]): void;
}
