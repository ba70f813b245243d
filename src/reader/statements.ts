import type { Db } from '../db/open.ts';

const COLUMNS = 'id, sender, receiver, message, timestamp, client_id';

/** Every statement a reader uses. All are index seeks: none reads more rows than it answers, but for the conversation list. */
export function prepareStatements(db: Db) {
  return {
    info: db.prepare('SELECT epoch, token_secret AS tokenSecret FROM store'),
    credentials: db.prepare(
      'SELECT password AS passwordHash, token_version AS version FROM users WHERE user_id = ?',
    ),
    tokenVersion: db.prepare('SELECT token_version FROM users WHERE user_id = ?').pluck(),
    tokenEnded: db.prepare('SELECT 1 FROM ended_tokens WHERE token_id = ?').pluck(),
    head: db.prepare('SELECT max(id) FROM messages').pluck(),
    message: db.prepare(`SELECT ${COLUMNS} FROM messages WHERE id = ?`),
    conversation: db
      .prepare('SELECT id FROM conversations WHERE user_a = min(@one, @two) AND user_b = max(@one, @two)')
      .pluck(),
    conversationsOf: db.prepare('SELECT conversation_id FROM members WHERE user_id = ?').pluck(),
    /** Those of the user's conversations that have a message above an id: one seek each. */
    conversationsSince: db
      .prepare(
        `SELECT conversation_id FROM members
         WHERE user_id = ?
           AND EXISTS (SELECT 1 FROM messages m WHERE m.conversation_id = members.conversation_id AND m.id > ?)`,
      )
      .pluck(),
    newer: db.prepare(
      `SELECT ${COLUMNS} FROM messages WHERE conversation_id = ? AND id > ? ORDER BY id LIMIT ?`,
    ),
    older: db.prepare(
      `SELECT ${COLUMNS} FROM messages WHERE conversation_id = ? AND id < ? ORDER BY id DESC LIMIT ?`,
    ),
    /** Reads one index entry of each of the user's conversations. */
    newestByConversation: db.prepare(
      `SELECT conversation_id AS conversation, peer, read_id AS read,
              (SELECT max(id) FROM messages m WHERE m.conversation_id = members.conversation_id) AS last
       FROM members WHERE user_id = ? AND last < ? ORDER BY last DESC LIMIT ?`,
    ),
    /** Counts to a bound: messages to the user after the marker. */
    unread: db
      .prepare(
        `SELECT count(*) FROM (
           SELECT 1 FROM messages WHERE conversation_id = ? AND id > ? AND sender <> ? LIMIT ?)`,
      )
      .pluck(),
    readMarker: db.prepare('SELECT read_id FROM members WHERE user_id = ? AND conversation_id = ?').pluck(),
    users: db
      .prepare(
        'SELECT user_id FROM users WHERE user_id >= ? AND user_id > ? AND user_id < ? AND user_id <> ? ORDER BY user_id LIMIT ?',
      )
      .pluck(),
  };
}

export type Statements = ReturnType<typeof prepareStatements>;
