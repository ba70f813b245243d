import { DatabaseError, type Db } from './open.ts';

/*
 * Imports the two tables of the chat app Parley grew from: users(user_id, password) with clear-text passwords, and
 * messages(sender, receiver, message, timestamp), with or without an id. Nothing is lost, order is kept, and no clear-text
 * password stays in the file.
 */

/** Password hashes by user id. */
export type SeedUsers = ReadonlyMap<string, string>;

export type Imported = {
  readonly users: number;
  /** Rows that nobody could log in with, so they are left out: without a user id, or with bytes that read as another's id. */
  readonly usersWithoutId: number;
  readonly messages: number;
};

type MovedTables = { readonly users: boolean; readonly messages: boolean; readonly hasId: boolean };

/** What SQLite calls a table; `wr` is 1 if it is WITHOUT ROWID. */
type TableKind = { readonly type: 'table' | 'view' | 'virtual' | 'shadow'; readonly wr: 0 | 1 };

/** What the seed's tables are called while they are copied. */
export const MOVED_TO = ['seed_users', 'seed_messages'] as const;

const USER_COLUMNS = ['user_id', 'password'];
const MESSAGE_COLUMNS = ['sender', 'receiver', 'message', 'timestamp'];

/** Replaces a timestamp that is absent or not a time: rule M2 promises one. */
const NO_TIME = '1970-01-01 00:00:00';

/** An ORDER BY of old users. If two rows read as the same user, the one that could log in comes first. */
const textFirst = (db: Db, table: string): string =>
  `typeof(user_id) = 'blob'${kindOf(db, table)?.wr === 1 ? '' : ', rowid'}`;

/** Ids from here on leave no room for new ones among JavaScript's exact integers. Ids below 1 come before every `since`. */
const IDS_END = 2 ** 52;

/** Passwords hashed at once: the size of the thread pool. */
const HASHES_AT_ONCE = 4;

const columnsOf = (db: Db, table: string): string[] =>
  (db.pragma(`table_info(${table})`) as { name: string }[]).map(({ name }) => name);

const kindOf = (db: Db, table: string): TableKind | undefined =>
  (db.pragma(`main.table_list(${table})`) as TableKind[])[0];

/**
 * Finds the seed's tables in a database without a schema version; undefined if there are none.
 * @throws DatabaseError if the tables exist, but not in a known shape
 */
export function seedShape(db: Db): { moveAside(): MovedTables } | undefined {
  const users = columnsOf(db, 'users');
  const messages = columnsOf(db, 'messages');
  if (users.length === 0 && messages.length === 0) return undefined;
  const hasId = messages.includes('id');
  expectColumns(db, 'users', users, USER_COLUMNS);
  expectColumns(db, 'messages', messages, hasId ? ['id', ...MESSAGE_COLUMNS] : MESSAGE_COLUMNS);
  if (kindOf(db, 'messages')?.wr === 1 && !(hasId && everyRowHasAnId(db, 'messages')))
    throw new DatabaseError(
      `The database ${db.name} has a table 'messages' WITHOUT ROWID and without whole numbers as ids: nothing tells the messages' order. Nothing was changed.`,
    );
  return {
    moveAside() {
      if (users.length > 0) db.exec('ALTER TABLE users RENAME TO seed_users');
      if (messages.length > 0) db.exec('ALTER TABLE messages RENAME TO seed_messages');
      return { users: users.length > 0, messages: messages.length > 0, hasId };
    },
  };
}

function expectColumns(db: Db, table: string, found: readonly string[], expected: readonly string[]): void {
  if (found.length === 0) return;
  const type = kindOf(db, table)?.type;
  if (type !== 'table')
    throw new DatabaseError(
      `The database ${db.name} has a ${type} '${table}' where the old chat app has a table: only what tables hold can be taken over. Nothing was changed.`,
    );
  const unknown = found.filter((column) => !expected.includes(column));
  const missing = expected.filter((column) => !found.includes(column));
  if (unknown.length === 0 && missing.length === 0) return;
  throw new DatabaseError(
    `The database ${db.name} has a table '${table}' of an unknown shape (columns ${found.join(', ')}; expected ${expected.join(', ')}). Nothing was changed.`,
  );
}

/** Reads the users and hashes their passwords. Done before the transaction: hashing is slow, and locks should be short. */
export async function readSeedUsers(db: Db, hash: (password: string) => Promise<string>): Promise<SeedUsers> {
  const hashes = new Map<string, string>();
  if (columnsOf(db, 'users').length === 0) return hashes;
  const rows = db
    .prepare(
      'SELECT CAST(user_id AS TEXT) AS user, CAST(password AS TEXT) AS password FROM users WHERE user_id IS NOT NULL ORDER BY ' +
        textFirst(db, 'users'),
    )
    .all() as { user: string; password: string | null }[];
  const queue = rows.values();
  const worker = async () => {
    for (const { user, password } of queue) {
      if (hashes.has(user)) continue;
      // An absent password never let anybody in. An empty hash keeps it so.
      hashes.set(user, '');
      if (password) hashes.set(user, await hash(password));
    }
  };
  await Promise.all(Array.from({ length: HASHES_AT_ONCE }, worker));
  return hashes;
}

/** Copies the moved tables into the schema's own, and drops them. Runs inside the migration's transaction. */
export function importSeedTables(db: Db, moved: MovedTables, hashes: SeedUsers): Imported {
  const counts = { users: 0, usersWithoutId: 0, messages: 0 };
  if (moved.users) {
    // The old file may be taken over once more, after a trial or for want of a back-up. With versions from 0 on, tokens that were
    // ended in between would be valid again wherever TOKEN_SECRET stays the same.
    const version = Date.now();
    const insert = db.prepare(
      'INSERT INTO users (user_id, password, token_version) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
    );
    const ids = db
      .prepare(
        `SELECT CAST(user_id AS TEXT) FROM seed_users WHERE user_id IS NOT NULL ORDER BY ${textFirst(db, 'seed_users')}`,
      )
      .pluck();
    for (const user of ids.all() as string[]) {
      const hashed = hashes.get(user);
      if (hashed === undefined) {
        throw new DatabaseError(
          `The database ${db.name} is being written by another program: stop it first. Nothing was changed.`,
        );
      }
      counts.users += insert.run(user, hashed, version).changes;
    }
    const rows = db.prepare('SELECT count(*) FROM seed_users').pluck().get() as number;
    counts.usersWithoutId = rows - counts.users;
    db.exec('DROP TABLE seed_users');
  }
  if (moved.messages) {
    const order = moved.hasId && everyRowHasAnId(db, 'seed_messages') ? 'id' : 'rowid';
    const odd = db.prepare(
      `SELECT 1 FROM seed_messages WHERE ${order} < 1 OR ${order} >= ${IDS_END} LIMIT 1`,
    );
    const id = odd.get() === undefined ? `s.${order}` : `row_number() OVER (ORDER BY s.${order})`;
    db.exec(`
      CREATE TEMP TABLE seed_pairs AS
        SELECT s.${order} AS seed_id, ${id} AS id, COALESCE(CAST(s.sender AS TEXT), '') AS sender, COALESCE(CAST(s.receiver AS TEXT), '') AS receiver
        FROM seed_messages s;
      INSERT INTO conversations (user_a, user_b)
        SELECT min(sender, receiver), max(sender, receiver) FROM seed_pairs GROUP BY 1, 2 ORDER BY min(id);
      INSERT INTO members (user_id, conversation_id, peer) SELECT user_a, id, user_b FROM conversations;
      INSERT INTO members (user_id, conversation_id, peer) SELECT user_b, id, user_a FROM conversations WHERE user_a <> user_b;
      INSERT INTO messages (id, conversation_id, sender, receiver, message, timestamp)
        SELECT p.id, c.id, p.sender, p.receiver, COALESCE(CAST(s.message AS TEXT), ''),
          COALESCE((SELECT t FROM (SELECT datetime(s.timestamp, 'auto') AS t) WHERE t GLOB '[0-9]*'), '${NO_TIME}')
        FROM seed_messages s
        JOIN seed_pairs p ON p.seed_id = s.${order}
        JOIN conversations c ON c.user_a = min(p.sender, p.receiver) AND c.user_b = max(p.sender, p.receiver)
        ORDER BY s.${order};
      -- Whoever wrote these saw them in an app without markers: they count as read.
      UPDATE members SET read_id = (SELECT max(id) FROM messages WHERE conversation_id = members.conversation_id);
      DROP TABLE seed_pairs;
      DROP TABLE seed_messages;
    `);
    counts.messages = db.prepare('SELECT count(*) FROM messages').pluck().get() as number;
  }
  db.exec('UPDATE store SET scrub_pending = 1');
  return counts;
}

/** If `id` is not the key (say, the table was copied with CREATE TABLE … AS), the old app has added rows without one. */
function everyRowHasAnId(db: Db, table: string): boolean {
  const whole = db.prepare(
    `SELECT count(DISTINCT id) = count(*) AND total(typeof(id) <> 'integer') = 0 FROM ${table}`,
  );
  return whole.pluck().get() === 1;
}

/**
 * Rewrites the file so that no freed page and no WAL frame still holds a clear-text password. Runs after the import, or at the
 * next start if the process died in between.
 */
export function finishScrub(db: Db): void {
  if (db.prepare('SELECT scrub_pending FROM store').pluck().get() !== 1) return;
  db.exec('VACUUM');
  // Until the checkpoint, the file still holds the old pages, and the WAL the new ones.
  const [checkpoint] = db.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
  if (checkpoint?.busy === 1) {
    throw new DatabaseError(
      `The database ${db.name} is open in another program, so old passwords can't be wiped from its files: stop that program first.`,
    );
  }
  db.exec('UPDATE store SET scrub_pending = 0');
}
