import { LIMITS } from '../contract/limits.ts';
import { messageFrameText } from '../core/message-frame.ts';
import type {
  CatchUpPage,
  ConversationSummary,
  Queries,
  QueryHandlers,
  StoredRow,
  StoreInfo,
  TokenState,
} from '../core/queries.ts';
import type { Db } from '../db/open.ts';
import { type Head, mergeSorted, type ReadIds } from './merge.ts';
import { prepareStatements, type Statements } from './statements.ts';

/**
 * How many ids are searched before the user's conversations are: this many, and more for each conversation. Measured with 20,000
 * conversations: a row of the range costs 0.06 µs, the head of a conversation 0.5.
 */
const NEAR_LEAST = 64;
const NEAR_PER_CONVERSATION = 2;
/** With fewer conversations, reading their heads costs less than the query that would avoid it. */
const NEAR_FROM = 50;
/** Limit on the conversations that add to the range: with 8 KB texts, each row is a page of the file, perhaps read from disk. */
const NEAR_COUNTED = 4_000;
/**
 * Messages after the marker that are searched for the peer's. Sending moves no marker: for a user who has sent a million without
 * an answer, each list of conversations would read all of them, at 0.6 µs each.
 */
const UNREAD_AMONG = 5 * LIMITS.unreadCounted;
/** The default of `before`: above every id. */
const ABOVE_ALL = Number.MAX_SAFE_INTEGER;

/**
 * Answers every query from a read-only handle. Each runs in one read transaction, so each is a snapshot. Texts are read one by
 * one, as long as an answer has room for them: those of the old chat app may be pictures of several megabytes.
 */
export class Reader implements QueryHandlers {
  readonly #sql: Statements;
  readonly #snapshot: <T>(work: () => T) => T;

  constructor(db: Db) {
    this.#sql = prepareStatements(db);
    this.#snapshot = (work) => db.transaction(work)();
  }

  info(): StoreInfo {
    return this.#sql.info.get() as StoreInfo;
  }

  credentials({ user }: Queries['credentials']['params']): Queries['credentials']['answer'] {
    return (this.#sql.credentials.get(user) as Queries['credentials']['answer'] | undefined) ?? null;
  }

  tokenState({ user, tokenId, version }: Queries['tokenState']['params']): TokenState {
    // A higher version is revoked, too: it is from a history that a restore has undone.
    if (version !== this.#sql.tokenVersion.get(user)) return 'revoked';
    return this.#sql.tokenEnded.get(tokenId) === undefined ? 'valid' : 'revoked';
  }

  catchUp({ user, since, tokens = [] }: Queries['catchUp']['params']): CatchUpPage {
    return this.#snapshot(() => {
      const known = this.#sql.tokenVersion.get(user) !== undefined;
      const head = this.#head();
      const page: { ids: number[]; frames: string[]; more: boolean } = { ids: [], frames: [], more: false };
      if (since !== undefined && since < head) {
        let units = 0;
        for (const row of this.#newer(user, since)) {
          if (page.ids.length >= LIMITS.catchUpPage || units >= LIMITS.pageUnits) {
            page.more = true;
            break;
          }
          const frame = frameOf(row);
          units += frame.length;
          page.ids.push(row.id);
          page.frames.push(frame);
        }
      }
      return {
        epoch: this.info().epoch,
        user: known ? 'known' : 'unknown',
        tokens: tokens.map((token) => this.tokenState({ user, ...token })),
        ...page,
        upto: page.more ? (page.ids.at(-1) as number) : head,
        head,
      };
    });
  }

  recent({ user, before = ABOVE_ALL, limit }: Queries['recent']['params']): Queries['recent']['answer'] {
    return this.#snapshot(() => {
      const { messages, more } = pageOf(this.#older(user, before, limit + 1), limit);
      const rows = messages.map(
        ({ id, sender, receiver, message, timestamp }): StoredRow => [
          id,
          sender,
          receiver,
          message,
          timestamp,
        ],
      );
      return { rows, more };
    });
  }

  history({
    user,
    peer,
    before = ABOVE_ALL,
    limit,
  }: Queries['history']['params']): Queries['history']['answer'] {
    return this.#snapshot(() => {
      const conversation = this.#sql.conversation.get({ one: user, two: peer }) as number | undefined;
      if (conversation === undefined) return { frames: [], nextBefore: null };
      const older = this.#sql.older.iterate(conversation, before, limit + 1) as Iterable<MessageRow>;
      const { messages, more } = pageOf(older, limit);
      return {
        frames: messages.map(frameOf).reverse(),
        nextBefore: more ? (messages.at(-1) as MessageRow).id : null,
      };
    });
  }

  conversations({
    user,
    before = ABOVE_ALL,
    limit,
  }: Queries['conversations']['params']): Queries['conversations']['answer'] {
    return this.#snapshot(() => {
      const newest = this.#sql.newestByConversation.all(user, before, limit + 1) as Newest[];
      const conversations: ConversationSummary[] = [];
      let units = 0;
      let searched = 0;
      for (const row of newest) {
        const full = units >= LIMITS.conversationsUnits || searched >= LIMITS.conversationsSearched;
        if (conversations.length >= limit || full)
          return { conversations, nextBefore: conversations.at(-1)?.last_message.id ?? null };
        const summary = this.#summary(user, row);
        conversations.push(summary);
        units += summary.last_message.message.length;
        searched += this.#sql.searched.get(row.conversation, row.read, UNREAD_AMONG) as number;
      }
      return { conversations, nextBefore: null };
    });
  }

  #summary(user: string, { conversation, peer, read, last }: Newest): ConversationSummary {
    return {
      user: peer,
      last_message: JSON.parse(frameOf(this.#sql.message.get(last) as MessageRow)),
      unread: this.#sql.unread.get(conversation, read, UNREAD_AMONG, user, LIMITS.unreadCounted) as number,
      read,
      peer_read: (this.#sql.readMarker.get(peer, conversation) as number | undefined) ?? 0,
    };
  }

  users({ prefix, after = '', except = '', limit }: Queries['users']['params']): Queries['users']['answer'] {
    const users = this.#sql.users.all({ prefix, after, except, limit }) as string[];
    return { users };
  }

  #head(): number {
    return this.#sql.head.get() as number;
  }

  /** The user's messages above `since`, oldest first: those of a page, and one more to tell whether there are more. */
  #newer(user: string, since: number): Iterable<MessageRow> {
    const count = LIMITS.catchUpPage + 1;
    return this.#first(count, this.#ids(1, user, since, count));
  }

  /** The newest `count` of the user's messages below `before`, newest first. */
  #older(user: string, before: number, count: number): Iterable<MessageRow> {
    return this.#first(count, this.#ids(-1, user, Math.min(before, this.#head() + 1), count));
  }

  /**
   * The messages with the first `count` of these ids. No other texts are read, however many conversations there are, and none
   * before it is needed.
   */
  *#first(count: number, ids: Iterable<number>): Generator<MessageRow> {
    let left = count;
    for (const id of ids) {
      yield this.#sql.message.get(id) as MessageRow;
      if (--left === 0) return;
    }
  }

  /**
   * Ids of the user's messages over all conversations, beyond `start` in one direction. After the first `count`, some may be left
   * out. Searching the ids nearest to `start` is enough if much of the traffic is the user's, or if little is beyond. The rest is
   * merged from the conversations.
   */
  *#ids(direction: 1 | -1, user: string, start: number, count: number): Generator<number> {
    const walk = direction === 1 ? this.#sql.ascending : this.#sql.descending;
    const conversations = this.#sql.conversationCount.get(user, NEAR_COUNTED) as number;
    const near = start + direction * (NEAR_LEAST + NEAR_PER_CONVERSATION * conversations);
    const isAll = direction === 1 && near >= this.#head();
    const looks = isAll || conversations >= NEAR_FROM;
    if (looks) yield* walk.inRange.all({ user, start, near, count }) as number[];
    if (isAll) return;
    // The first `count` messages are in at most as many conversations: the ones that begin first.
    const heads = walk.heads.all(looks ? near : start, user, count) as Head[];
    const read: ReadIds = (conversation, after, most) => walk.ids.all(conversation, after, most) as number[];
    yield* mergeSorted(heads, read, direction);
  }
}

type MessageRow = {
  readonly id: number;
  readonly sender: string;
  readonly receiver: string;
  readonly message: string;
  readonly timestamp: string;
  readonly client_id: string | null;
};

type Newest = {
  readonly conversation: number;
  readonly peer: string;
  readonly read: number;
  readonly last: number;
};

/** Messages until there are `limit` of them, or their texts fill a page; and whether there are more. Reads one row more at most. */
function pageOf(rows: Iterable<MessageRow>, limit: number): { messages: MessageRow[]; more: boolean } {
  const messages: MessageRow[] = [];
  let units = 0;
  for (const row of rows) {
    if (messages.length >= limit || units >= LIMITS.pageUnits) return { messages, more: true };
    messages.push(row);
    units += row.message.length;
  }
  return { messages, more: false };
}

const frameOf = (row: MessageRow): string =>
  messageFrameText(row.id, row.sender, row.receiver, row.message, row.timestamp, row.client_id);
