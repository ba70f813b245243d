import type { Message, OutboxEntry } from '../../client/index.ts';
import type { Conversation } from './chat-state.ts';
import { dayOf, timeOf } from './format.ts';

/** Consecutive messages of one person within this time form a group. */
const GROUP_MS = 5 * 60_000;

export type Delivery =
  | { readonly status: 'received' }
  | { readonly status: 'sending' | 'sent' | 'read' }
  | { readonly status: 'failed'; readonly error: string; readonly clientId: string };

/**
 * One message on the screen. Day separators and the "new messages" line belong to the row below them. So there are exactly as
 * many rows as messages, and putting some in front moves every row by the same count.
 */
export type Row = {
  /** The user's own message keeps its key when it turns from pending to stored. */
  readonly key: string;
  readonly id: number | null;
  readonly own: boolean;
  readonly text: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly delivery: Delivery;
  /** The first row of a day. */
  readonly newDay: boolean;
  /** The first row that is new since the last visit. */
  readonly newMark: boolean;
  readonly groupStart: boolean;
  readonly groupEnd: boolean;
};

type Draft = { -readonly [K in keyof Row]: Row[K] };

/** The parts of a conversation that determine its rows. */
type Shown = Pick<Conversation, 'peer' | 'messages' | 'pending' | 'peerRead' | 'newAfter'>;

export function timeline({ messages, pending, peerRead, newAfter, peer }: Shown, me: string): readonly Row[] {
  const rows: Draft[] = [];
  let marked = newAfter === null || peer === me;
  for (const message of messages) {
    const own = message.from === me;
    const newMark = !marked && !own && message.id > newAfter!;
    if (newMark) marked = true;
    add(rows, {
      key: keyOf(message, me),
      id: message.id,
      own,
      text: message.message,
      at: timeOf(message),
      newMark,
      delivery: own
        ? { status: message.id <= peerRead && peer !== me ? 'read' : 'sent' }
        : { status: 'received' },
    });
  }
  // A page of history may include a message before the stream or the server's answer removes it from the outbox.
  const stored = new Set(pending.length === 0 ? [] : messages.map((message) => keyOf(message, me)));
  for (const entry of pending) {
    if (stored.has(`own:${entry.client_id}`)) continue;
    add(rows, {
      key: `own:${entry.client_id}`,
      id: null,
      own: true,
      text: entry.message,
      at: entry.created_at,
      newMark: false,
      delivery: deliveryOf(entry),
    });
  }
  return rows;
}

const keyOf = ({ from, client_id, id }: Message, me: string): string =>
  from === me && client_id !== undefined ? `own:${client_id}` : `id:${id}`;

function deliveryOf(entry: OutboxEntry): Delivery {
  if (entry.status !== 'failed') return { status: 'sending' };
  return { status: 'failed', error: entry.error, clientId: entry.client_id };
}

function add(rows: Draft[], row: Omit<Row, 'newDay' | 'groupStart' | 'groupEnd'>): void {
  const above = rows.at(-1);
  const newDay = above === undefined || dayOf(above.at) !== dayOf(row.at);
  const joins =
    above !== undefined &&
    !newDay &&
    !row.newMark &&
    above.own === row.own &&
    above.delivery.status !== 'failed' &&
    Math.abs(row.at - above.at) < GROUP_MS;
  if (joins) above.groupEnd = false;
  rows.push({ ...row, newDay, groupStart: !joins, groupEnd: true });
}
