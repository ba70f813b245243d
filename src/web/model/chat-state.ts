import type { ConnectionState, ConversationSummary, Message, OutboxEntry } from '../../client/index.ts';
import { timeOf } from './format.ts';

/**
 * What the app knows, as immutable values, and how each event changes it. No I/O: chat-store.ts feeds it.
 *
 * `messages` has no holes: it begins at some message of the conversation and includes every later one. This holds because history
 * is loaded only after the live stream has begun, and pages are put in front of what is there.
 */
export type Conversation = {
  readonly peer: string;
  /** Ascending `id`. */
  readonly messages: readonly Message[];
  /** Not known to be stored. In the order of sending. */
  readonly pending: readonly OutboxEntry[];
  /** The newest message, from the stream or the conversation list. */
  readonly last: Message | null;
  /** The conversation list has told of it. Until then, what follows is known from what has come since alone. */
  readonly listed: boolean;
  readonly unread: number;
  /** The user's own read marker, and the other's. */
  readonly read: number;
  readonly peerRead: number;
  /** The "new messages" line is above the other's first message after this id. */
  readonly newAfter: number | null;
  readonly history: 'none' | 'loading' | 'ready' | 'failed';
  /** Older messages are before this id; null at the start of the conversation. Meaningless until `history` is ready. */
  readonly nextBefore: number | null;
  readonly older: 'idle' | 'loading' | 'failed';
};

export type ChatState = {
  readonly me: string;
  readonly connection: ConnectionState;
  readonly conversations: ReadonlyMap<string, Conversation>;
  readonly list: 'loading' | 'ready' | 'failed';
  /** The next page of the conversation list is before this id; null at its end. */
  readonly listBefore: number | null;
  readonly open: string | null;
  readonly online: ReadonlySet<string>;
  readonly typing: ReadonlySet<string>;
  /** The browser's storage did not take unsent messages, so they are only in this page. */
  readonly unkept: boolean;
  /** Grows each time everything is discarded and loaded again. */
  readonly era: number;
};

/** Messages kept of a conversation that is not open. */
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
  listed: false,
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

/** Merges two lists in ascending `id`. The result is ascending, too, and has each message once. */
export function merge(a: readonly Message[], b: readonly Message[]): readonly Message[] {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  if (a[a.length - 1]!.id < b[0]!.id) return [...a, ...b];
  if (b[b.length - 1]!.id < a[0]!.id) return [...b, ...a];
  const byId = new Map([...a, ...b].map((message) => [message.id, message]));
  return [...byId.values()].sort((x, y) => x.id - y.id);
}

/** Adds the messages that leave no hole. */
function place(conversation: Conversation, arrived: readonly Message[]): readonly Message[] {
  const { messages } = conversation;
  const first = messages[0];
  const complete = conversation.history === 'ready' && conversation.nextBefore === null;
  // The stream delivers everything after its messages. One that was stored long ago only joins if what follows it is here.
  const joins = (message: Message) =>
    complete || (first === undefined ? message.repeat !== true : message.id > first.id);
  const placed = arrived.filter(joins);
  return placed.length === 0 ? messages : merge(messages, placed);
}

/**
 * Adds messages of the stream, in its order, or one that the server says it had already stored.
 * @param attended the user is looking at the end of this conversation, so they do not count as new
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
      // One that was stored long ago may have others after it, of which only the list or the history tells.
      if (message.id <= (last?.id ?? 0) || (last === null && message.repeat)) continue;
      const incoming = message.from !== state.me && message.id > conversation.read;
      if (incoming && unread === 0 && !attended) newAfter = message.id - 1;
      // A line left from an earlier absence is above messages that have been read.
      else if (message.from === state.me && unread === 0) newAfter = null;
      if (incoming) unread += 1;
      last = message;
    }
    const messages = place(conversation, arrived);
    last ??= messages.at(-1) ?? null;
    if (last === conversation.last)
      return messages === conversation.messages ? conversation : { ...conversation, messages };
    const next = { ...conversation, messages, last, unread, newAfter };
    return peer === state.open ? next : trimmed(next, 2 * KEPT);
  });
}

/** Adds a page of the conversation list: the server's counts, plus what has arrived since. */
export function withSummaries(state: ChatState, summaries: readonly ConversationSummary[]): ChatState {
  const conversations = new Map(state.conversations);
  for (const summary of summaries) {
    const known = conversations.get(summary.user) ?? emptyConversation(summary.user);
    const newer = known.messages.filter(({ id }) => id > summary.last_message.id);
    const read = Math.max(known.read, summary.read);
    const unseen = newer.filter(({ from, id }) => from !== state.me && id > read).length;
    // The count is of before the marker moved. The one here is right up to `last`, after which the stream goes on counting.
    const outdated = read > summary.read && known.last !== null;
    const unread = outdated ? known.unread : summary.unread + unseen;
    conversations.set(summary.user, {
      ...known,
      last: outdated ? known.last : (newer.at(-1) ?? summary.last_message),
      listed: true,
      read,
      peerRead: Math.max(known.peerRead, summary.peer_read),
      unread,
      // What came before this answer was taken for the first new message; there may be others above it.
      newAfter:
        unread > 0 && summary.user !== state.me ? Math.min(known.newAfter ?? read, read) : known.newAfter,
    });
  }
  return { ...state, conversations };
}

const countUnread = ({ messages }: Conversation, read: number, me: string): number =>
  messages.filter(({ from, id }) => from !== me && id > read).length;

/** Whether all messages after `id` are here. The list may have told of newer ones than the stream. */
function reachesBack({ messages, history, nextBefore, last }: Conversation, id: number): boolean {
  if ((messages.at(-1)?.id ?? 0) < (last?.id ?? 0)) return false;
  return (history === 'ready' && nextBefore === null) || (messages[0] !== undefined && messages[0].id <= id);
}

/**
 * Moves a read marker.
 * @returns null if the messages here don't tell how many are left to read: the list must be asked
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
  // The list may be about to tell how it stood before.
  if (conversation === undefined) return null;
  if (mark.id <= conversation.read) return state;
  const all = conversation.last !== null && mark.id >= conversation.last.id;
  const known = all || reachesBack(conversation, mark.id);
  const unread = all ? 0 : known ? countUnread(conversation, mark.id, state.me) : conversation.unread;
  const next = update(state, mark.with, () => ({ ...conversation, read: mark.id, unread }));
  return known ? next : null;
}

/** Sets the present outbox, split by receiver. */
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

/** The user opened another conversation, or none. */
export function withOpen(state: ChatState, open: string | null): ChatState {
  if (open === state.open) return state;
  let next: ChatState = { ...state, open };
  const left = state.open === null ? undefined : state.conversations.get(state.open);
  // So that memory stays flat over many long conversations.
  if (left !== undefined) next = update(next, left.peer, () => trimmed(left, KEPT));
  if (open !== null)
    next = update(next, open, (conversation) => ({ ...conversation, newAfter: lineIn(conversation) }));
  return next;
}

/** Where the line is on a visit: what has been read, here or on another device, is above it. */
function lineIn({ unread, listed, read, newAfter }: Conversation): number | null {
  if (unread === 0) return null;
  return listed ? read : newAfter;
}

/** Trims a conversation to its last KEPT messages, if it has more than `above`. */
function trimmed(conversation: Conversation, above: number): Conversation {
  // A page that is on its way belongs in front of the present messages.
  if (conversation.messages.length <= above || conversation.history === 'loading') return conversation;
  const messages = conversation.messages.slice(-KEPT);
  const first = messages[0]!.id;
  // If new messages are dropped, they are loaded again on opening, which begins at the first of them.
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

/** Conversations with something to show, latest first. */
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
