import { existsSync, renameSync, rmSync } from 'node:fs';
import { hashPassword } from '../../src/auth/passwords.ts';
import { migrate } from '../../src/db/migrate.ts';
import { type Db, openForWriting } from '../../src/db/open.ts';
import { userIds } from './running.ts';

/*
 * A database with a long history, written by SQL. Messages of all conversations are mixed, as they would have come, so that
 * one conversation's messages are spread over the whole file. A tenth of them are the first conversation's.
 */

const USERS = 1_000;
const CONVERSATIONS = 5_000;
const FIRST_SHARE = 10;
const ROWS_PER_TRANSACTION = 100_000;
/** The time of the first message; the others follow at one a second. */
const BEGINNING_S = 1_600_000_000;

export type HistoryDatabase = {
  /** Users of the first conversation, and of some others. */
  readonly pairs: readonly (readonly [string, string])[];
};

/** Builds the database unless the file is there already. */
export async function buildHistory(
  path: string,
  messages: number,
  say: (line: string) => void,
): Promise<HistoryDatabase> {
  const pairs = conversations();
  if (!existsSync(path)) {
    const building = `${path}.building`;
    rmSync(building, { force: true });
    const database = openForWriting(building);
    await migrate(database, hashPassword);
    database.pragma('synchronous = OFF');
    insertPeople(database, pairs, await hashPassword('one password for all'));
    insertMessages(database, pairs, messages, say);
    database.pragma('wal_checkpoint(TRUNCATE)');
    // Leaves one file, which can be given its name in one step: a half-built database is never taken for a whole one.
    database.pragma('journal_mode = DELETE');
    database.close();
    renameSync(building, path);
  }
  return { pairs };
}

function conversations(): (readonly [string, string])[] {
  const ids = userIds(USERS);
  return Array.from({ length: CONVERSATIONS }, (_, at) => {
    const a = at % USERS;
    const b = (a + 1 + Math.floor(at / USERS)) % USERS;
    return [ids[Math.min(a, b)]!, ids[Math.max(a, b)]!] as const;
  });
}

function insertPeople(database: Db, pairs: HistoryDatabase['pairs'], hash: string): void {
  const user = database.prepare('INSERT INTO users (user_id, password) VALUES (?, ?)');
  const conversation = database.prepare('INSERT INTO conversations (id, user_a, user_b) VALUES (?, ?, ?)');
  const member = database.prepare('INSERT INTO members (user_id, conversation_id, peer) VALUES (?, ?, ?)');
  database.transaction(() => {
    for (const id of userIds(USERS)) user.run(id, hash);
    pairs.forEach(([a, b], at) => {
      conversation.run(at + 1, a, b);
      member.run(a, at + 1, b);
      member.run(b, at + 1, a);
    });
  })();
}

function insertMessages(
  database: Db,
  pairs: HistoryDatabase['pairs'],
  messages: number,
  say: (line: string) => void,
): void {
  const insert = database.prepare(
    `INSERT INTO messages (conversation_id, sender, receiver, message, timestamp, client_id)
     VALUES (?, ?, ?, ?, datetime(?, 'unixepoch'), ?)`,
  );
  const some = database.transaction((from: number, to: number) => {
    for (let at = from; at < to; at += 1) {
      const conversation = at % FIRST_SHARE === 0 ? 0 : 1 + ((at * 7919) % (CONVERSATIONS - 1));
      const [a, b] = pairs[conversation]!;
      const text = `message ${at}, which is about as long as most`;
      const [sender, receiver] = at % 3 === 0 ? [b, a] : [a, b];
      insert.run(conversation + 1, sender, receiver, text, BEGINNING_S + at, clientId(at));
    }
  });
  for (let from = 0; from < messages; from += ROWS_PER_TRANSACTION) {
    some(from, Math.min(from + ROWS_PER_TRANSACTION, messages));
    if (from > 0 && from % 1_000_000 === 0)
      say(`  ${from.toLocaleString('en')} of ${messages.toLocaleString('en')} messages built`);
  }
}

/** Ascends in time, like the client's. */
function clientId(at: number): string {
  const time = ((BEGINNING_S + at) * 1000).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${at.toString(16).padStart(12, '0')}`;
}
