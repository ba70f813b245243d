import type { ConnectionState, ConversationSummary, Message, OutboxEntry } from '../../client/index.ts';
import { timeOf } from './format.ts';

/**
 * What the app knows, as immutable values, and how each event changes it. No I/O: chat-store.ts feeds it.
 *
 * `messages` has no holes: it begins at some message of the conversation and has every one after it. That holds
 * because history is loaded only after the live stream has begun, and pages are put in front of what is there.
 */
export type Conversation = {
  readonly peer: string;
  /** Ascending `id`. */
  readonly messages: readonly Message[];
  /** Not known to be stored, in the order of sending. */
  readonly pending: readonly OutboxEntry[];
  /** The newest message that the stream or the conversation list has told of. */
  readonly last: Message | null;
  readonly unread: number;
  /** One's own read marker, and the other's. */
  readonly read: number;
  readonly peerRead: number;
  /** The "new messages" line stands before the first message of the other after this id. */
  readonly newAfter: number | null;
  readonly history: 'none' | 'loading' | 'ready' | 'failed';
  /** Where older messages begin; null at the start of the conversation. Means nothing before `history` is ready. */
  readonly nextBefore: number | null;
  readonly older: 'idle' | 'loading' | 'failed';
};

export type ChatState = {
  readonly me: string;
  readonly connection: ConnectionState;
  readonly conversations: ReadonlyMap<string, Conversation>;
  readonly list: 'loading' | 'ready' | 'failed';
  /** Where the next page of the conversation list begins; null at its end. */
  readonly listBefore: number | null;
  readonly open: string | null;
  readonly online: ReadonlySet<string>;
  readonly typing: ReadonlySet<string>;
  /** The browser's storage did not take what is not sent yet: it is in this page only. */
  readonly unkept: boolean;
  /** Grows when everything was forgotten and is loaded again. */
  readonly era: number;
};

/** Messages that are kept of a conversation that is not open. */
const KEPT = 100;

export const initialState = (me: string, connection: ConnectionState): ChatState => ({
  me,
  connection,
  conversations: new Map(),
  list: 'loading',
  listBefore: null,
  open: null,
  online: new Set(),
  typing: new Set(),
  unkept: false,
  era: 0,
});

const emptyConversation = (peer: string): Conversation => ({
  peer,
  messages: [],
  pending: [],
  last: null,
  unread: 0,
  read: 0,
  peerRead: 0,
  newAfter: null,
  history: 'none',
  nextBefore: null,
  older: 'idle',
});

export const peerOf = (message: { from: string; to: string }, me: string): string =>
  message.from === me ? message.to : message.from;

export function update(
  state: ChatState,
  peer: string,
  change: (conversation: Conversation) => Conversation,
): ChatState {
  const before = state.conversations.get(peer) ?? emptyConversation(peer);
  const after = change(before);
  if (after === before && state.conversations.has(peer)) return state;
  return { ...state, conversations: new Map(state.conversations).set(peer, after) };
}

/** Both ascend in `id`; the union does, too, each once. */
export function merge(a: readonly Message[], b: readonly Message[]): readonly Message[] {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  if (a[a.length - 1]!.id < b[0]!.id) return [...a, ...b];
  if (b[b.length - 1]!.id < a[0]!.id) return [...b, ...a];
  const byId = new Map([...a, ...b].map((message) => [message.id, message]));
  return [...byId.values()].sort((x, y) => x.id - y.id);
}

/** Puts messages where they belong, those beside which there would be no hole. */
function place(conversation: Conversation, arrived: readonly Message[]): readonly Message[] {
  const { messages } = conversation;
  const first = messages[0];
  const complete = conversation.history === 'ready' && conversation.nextBefore === null;
  // The stream's is followed by all that come after it; what was stored long ago is not, unless those are here.
  const joins = (message: Message) =>
    complete || (first === undefined ? message.repeat !== true : message.id > first.id);
  const placed = arrived.filter(joins);
  return placed.length === 0 ? messages : merge(messages, placed);
}

/**
 * Messages of the stream in its order, or one that the server says it had stored before.
 * @param attended the user is looking at the end of this conversation: they do not count as new
 */
export function withMessages(
  state: ChatState,
  peer: string,
  arrived: readonly Message[],
  attended: boolean,
): ChatState {
  return update(state, peer, (conversation) => {
    let { last, unread, newAfter } = conversation;
    for (const message of arrived) {
      if (message.id <= (last?.id ?? 0)) continue;
      const incoming = message.from !== state.me && message.id > conversation.read;
      if (incoming && unread === 0 && !attended) newAfter = message.id - 1;
      // A line that still stands from an earlier absence has been read past.
      else if (message.from === state.me && unread === 0) newAfter = null;
      if (incoming) unread += 1;
      last = message;
    }
    const messages = place(conversation, arrived);
    if (last === conversation.last)
      return messages === conversation.messages ? conversation : { ...conversation, messages };
    const next = { ...conversation, messages, last, unread, newAfter };
    return peer === state.open ? next : trimmed(next, 2 * KEPT);
  });
}

/** A page of the conversation list: what the server counted, plus what has arrived since it did. */
export function withSummaries(state: ChatState, summaries: readonly ConversationSummary[]): ChatState {
  const conversations = new Map(state.conversations);
  for (const summary of summaries) {
    const known = conversations.get(summary.user) ?? emptyConversation(summary.user);
    const newer = known.messages.filter(({ id }) => id > summary.last_message.id);
    const read = Math.max(known.read, summary.read);
    const unseen = newer.filter(({ from, id }) => from !== state.me && id > read).length;
    const unread = read > summary.read ? countUnread(known, read, state.me) : summary.unread + unseen;
    conversations.set(summary.user, {
      ...known,
      last: newer.at(-1) ?? summary.last_message,
      read,
      peerRead: Math.max(known.peerRead, summary.peer_read),
      unread,
      newAfter: known.newAfter ?? (unread > 0 && summary.user !== state.me ? read : null),
    });
  }
  return { ...state, conversations };
}

const countUnread = ({ messages }: Conversation, read: number, me: string): number =>
  messages.filter(({ from, id }) => from !== me && id > read).length;

/** Whether all messages after `id` are at hand. */
const reachesBack = ({ messages, history, nextBefore }: Conversation, id: number): boolean =>
  (history === 'ready' && nextBefore === null) || (messages[0] !== undefined && messages[0].id <= id);

/**
 * A read marker moved.
 * @returns null if what is at hand does not tell how much is left to read: the list must be asked
 */
export function withRead(
  state: ChatState,
  mark: { readonly user: string; readonly with: string; readonly id: number },
): ChatState | null {
  if (mark.user !== state.me) {
    if (mark.with !== state.me || !state.conversations.has(mark.user)) return state;
    return update(state, mark.user, (conversation) =>
      mark.id > conversation.peerRead ? { ...conversation, peerRead: mark.id } : conversation,
    );
  }
  const conversation = state.conversations.get(mark.with);
  if (conversation === undefined || mark.id <= conversation.read) return state;
  const all = mark.id >= (conversation.last?.id ?? 0);
  const known = all || reachesBack(conversation, mark.id);
  const unread = all ? 0 : known ? countUnread(conversation, mark.id, state.me) : conversation.unread;
  const next = update(state, mark.with, () => ({ ...conversation, read: mark.id, unread }));
  return known ? next : null;
}

/** The outbox as it stands now, split by receiver. */
export function withOutbox(state: ChatState, outbox: readonly OutboxEntry[]): ChatState {
  const byPeer = Map.groupBy(outbox, ({ to }) => to);
  let next = outbox.length === 0 && state.unkept ? { ...state, unkept: false } : state;
  for (const [peer, conversation] of state.conversations) {
    const pending = byPeer.get(peer) ?? [];
    if (pending.length === 0 && conversation.pending.length === 0) continue;
    if (sameEntries(pending, conversation.pending)) continue;
    next = update(next, peer, () => ({ ...conversation, pending }));
  }
  for (const [peer, pending] of byPeer) {
    if (!state.conversations.has(peer)) next = update(next, peer, (fresh) => ({ ...fresh, pending }));
  }
  return next;
}

const sameEntries = (a: readonly OutboxEntry[], b: readonly OutboxEntry[]): boolean =>
  a.length === b.length && a.every((entry, i) => entry === b[i]);

/** The user turned to another conversation, or to none. */
export function withOpen(state: ChatState, open: string | null): ChatState {
  if (open === state.open) return state;
  let next: ChatState = { ...state, open };
  const left = state.open === null ? undefined : state.conversations.get(state.open);
  if (left !== undefined) next = update(next, left.peer, () => put(left));
  if (open !== null) next = update(next, open, (conversation) => conversation);
  return next;
}

/** Memory stays flat over many long conversations: of those not shown, only the end is kept. */
function put(conversation: Conversation): Conversation {
  const newAfter = conversation.unread === 0 ? null : conversation.newAfter;
  return { ...trimmed(conversation, KEPT), newAfter };
}

/** The conversation with its last KEPT messages, if it has more than `above`. */
function trimmed(conversation: Conversation, above: number): Conversation {
  // A page that is on its way belongs in front of what is there now.
  if (conversation.messages.length <= above || conversation.history === 'loading') return conversation;
  const messages = conversation.messages.slice(-KEPT);
  const first = messages[0]!.id;
  // Where new ones are left out, they are loaded again when it is opened: it begins at the first of them.
  const dropsNew = conversation.unread > 0 && conversation.messages.at(-KEPT - 1)!.id > conversation.read;
  const history = dropsNew ? 'none' : conversation.history;
  return {
    ...conversation,
    messages,
    history,
    nextBefore: history === 'ready' ? first : conversation.nextBefore,
  };
}

export function withPresence(
  state: ChatState,
  { online, offline }: { readonly online: readonly string[]; readonly offline: readonly string[] },
): ChatState {
  const next = new Set(state.online);
  for (const user of online) next.add(user);
  for (const user of offline) next.delete(user);
  return { ...state, online: next };
}

export function withTyping(state: ChatState, from: string, typing: boolean): ChatState {
  if (state.typing.has(from) === typing) return state;
  const next = new Set(state.typing);
  if (typing) next.add(from);
  else next.delete(from);
  return { ...state, typing: next };
}

/** Conversations that have something to show, the latest first. */
export function inOrder(state: ChatState): readonly Conversation[] {
  return [...state.conversations.values()]
    .filter(({ last, pending }) => last !== null || pending.length > 0)
    .sort((a, b) => activeAt(b) - activeAt(a) || (b.last?.id ?? 0) - (a.last?.id ?? 0));
}

/** Milliseconds since 1970 of the latest message, stored or not. */
export function activeAt({ last, pending }: Conversation): number {
  return Math.max(last === null ? 0 : timeOf(last), pending.at(-1)?.created_at ?? 0);
}

export function totalUnread({ conversations }: ChatState): number {
  let sum = 0;
  for (const { unread } of conversations.values()) sum += unread;
  return sum;
}
