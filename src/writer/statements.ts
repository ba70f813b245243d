import type { Db } from '../db/open.ts';
import { HEAD } from '../db/store-row.ts';

/** Every statement the writer uses. */
export function prepareStatements(db: Db) {
  return {
    head: db.prepare(HEAD).pluck(),
    // Changes when another connection has written.
    dataVersion: db.prepare('PRAGMA data_version').pluck(),
    position: db.prepare('SELECT log_position FROM store').pluck(),
    setPosition: db.prepare('UPDATE store SET log_position = ?, head = ?, canary = canary + 1'),
    canary: db.prepare('UPDATE store SET canary = canary + 1'),

    user: db.prepare('SELECT password, token_version AS version FROM users WHERE user_id = ?'),
    // Not 0: after a restore, a name may be registered again, and its former owner's tokens must not be valid.
    insertUser: db
      .prepare(
        `INSERT INTO users (user_id, password, token_version) VALUES (?, ?, CAST(unixepoch('subsec') * 1000 AS INTEGER))
       ON CONFLICT DO NOTHING RETURNING token_version`,
      )
      .pluck(),
    setPassword: db.prepare(
      'UPDATE users SET password = ?, token_version = token_version + 1 WHERE user_id = ?',
    ),
    raiseVersion: db.prepare('UPDATE users SET token_version = max(token_version, ?) WHERE user_id = ?'),
    endToken: db.prepare(
      'INSERT INTO ended_tokens (token_id, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING',
    ),
    forgetTokens: db.prepare('DELETE FROM ended_tokens WHERE expires_at < ?'),

    // min and max compare as the tables do, which differs slightly from JavaScript.
    conversation: db
      .prepare('SELECT id FROM conversations WHERE user_a = min(@one, @two) AND user_b = max(@one, @two)')
      .pluck(),
    insertConversation: db
      .prepare(
        'INSERT INTO conversations (user_a, user_b) VALUES (min(@one, @two), max(@one, @two)) RETURNING id',
      )
      .pluck(),
    insertMember: db.prepare(
      'INSERT INTO members (user_id, conversation_id, peer) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
    ),
    markRead: db.prepare(
      'UPDATE members SET read_id = @id WHERE user_id = @user AND conversation_id = @conversation AND read_id < @id',
    ),
    readMarker: db.prepare('SELECT read_id FROM members WHERE user_id = ? AND conversation_id = ?').pluck(),
    insertMessage: db.prepare(
      `INSERT INTO messages (id, conversation_id, sender, receiver, message, timestamp, client_id)
       VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (client_id, sender) WHERE client_id IS NOT NULL DO NOTHING`,
    ),
    messageByClientId: db.prepare(
      'SELECT id, receiver, message, timestamp FROM messages WHERE client_id = ? AND sender = ?',
    ),
  };
}

export type Statements = ReturnType<typeof prepareStatements>;
