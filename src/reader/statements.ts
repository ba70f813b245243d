import type { Db } from '../db/open.ts';
import { HEAD } from '../db/store-row.ts';

const COLUMNS = 'id, sender, receiver, message, timestamp, client_id';

/** Every statement a reader uses. All are index seeks. Unless noted, none reads more rows than it returns. */
export function prepareStatements(db: Db) {
  return {
    info: db.prepare('SELECT epoch, token_secret AS tokenSecret FROM store'),
    credentials: db.prepare(
      'SELECT password AS passwordHash, token_version AS version FROM users WHERE user_id = ?',
    ),
    tokenVersion: db.prepare('SELECT token_version FROM users WHERE user_id = ?').pluck(),
    tokenEnded: db.prepare('SELECT 1 FROM ended_tokens WHERE token_id = ?').pluck(),
    head: db.prepare(HEAD).pluck(),
    message: db.prepare(`SELECT ${COLUMNS} FROM messages WHERE id = ?`),
    conversation: db
      .prepare('SELECT id FROM conversations WHERE user_a = min(@one, @two) AND user_b = max(@one, @two)')
      .pluck(),
    /** Number of the user's conversations, counted up to a limit. */
    conversationCount: db
      .prepare('SELECT count(*) FROM (SELECT 1 FROM members WHERE user_id = ? LIMIT ?)')
      .pluck(),
    ascending: prepareWalk(db, { beyond: '>', within: '<=', first: 'min', order: 'ASC' }),
    descending: prepareWalk(db, { beyond: '<', within: '>=', first: 'max', order: 'DESC' }),
    older: db.prepare(
      `SELECT ${COLUMNS} FROM messages WHERE conversation_id = ? AND id < ? ORDER BY id DESC LIMIT ?`,
    ),
    /** Reads one index entry of each of the user's conversations. */
    newestByConversation: db.prepare(
      `SELECT conversation_id AS conversation, peer, read_id AS read,
              (SELECT max(id) FROM messages m WHERE m.conversation_id = members.conversation_id) AS last
       FROM members WHERE user_id = ? AND last < ? ORDER BY last DESC LIMIT ?`,
    ),
    /** Counts, up to a limit, the messages to the user after the marker, among that many of the newest from both. */
    unread: db
      .prepare(
        `SELECT count(*) FROM (
           SELECT 1 FROM (SELECT sender FROM messages WHERE conversation_id = ? AND id > ? ORDER BY id DESC LIMIT ?)
           WHERE sender <> ? LIMIT ?)`,
      )
      .pluck(),
    /** How many messages the search for unread ones reads at most: from the index alone, a tenth of that search's cost. */
    searched: db
      .prepare('SELECT count(*) FROM (SELECT 1 FROM messages WHERE conversation_id = ? AND id > ? LIMIT ?)')
      .pluck(),
    readMarker: db.prepare('SELECT read_id FROM members WHERE user_id = ? AND conversation_id = ?').pluck(),
    /**
     * In byte order, ids with a common prefix are adjacent. The highest text ends their range: in a file of the old chat app whose
     * encoding is UTF-16, that is not the highest code point.
     */
    users: db
      .prepare(
        `SELECT user_id FROM users
         WHERE user_id >= @prefix AND user_id > @after AND user_id < max(@prefix || char(0x10FFFF), @prefix || char(0xFFFF))
           AND user_id <> @except
         ORDER BY user_id LIMIT @limit`,
      )
      .pluck(),
  };
}

type Way = {
  readonly beyond: '>' | '<';
  readonly within: '<=' | '>=';
  readonly first: 'min' | 'max';
  readonly order: 'ASC' | 'DESC';
};

/** Queries that find the ids of a user's messages over all conversations, in one direction. None reads a text. */
function prepareWalk(db: Db, { beyond, within, first, order }: Way) {
  return {
    /** The user's messages beyond `start`, up to `near`. Reads every row between them. */
    inRange: db
      .prepare(
        `SELECT id FROM messages
         WHERE id ${beyond} @start AND id ${within} @near AND (sender = @user OR receiver = @user)
         ORDER BY id ${order} LIMIT @count`,
      )
      .pluck(),
    /**
     * The user's conversations with a message beyond an id, each with the first such id, sorted by it. Seeks one index entry of
     * each of the user's conversations. Without MATERIALIZED, it would do so for each mention of `first`.
     */
    heads: db
      .prepare(
        `WITH heads AS MATERIALIZED (
           SELECT conversation_id, (
             SELECT ${first}(id) FROM messages m WHERE m.conversation_id = members.conversation_id AND m.id ${beyond} ?
           ) AS first FROM members WHERE user_id = ?)
         SELECT conversation_id, first FROM heads WHERE first IS NOT NULL ORDER BY first ${order} LIMIT ?`,
      )
      .raw(),
    /** Ids of a conversation, from the index alone. */
    ids: db
      .prepare(
        `SELECT id FROM messages WHERE conversation_id = ? AND id ${beyond} ? ORDER BY id ${order} LIMIT ?`,
      )
      .pluck(),
  };
}

export type Statements = ReturnType<typeof prepareStatements>;
