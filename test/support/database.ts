import Database from 'better-sqlite3';
import { hashPassword } from '../../src/auth/passwords.ts';
import { Tokens } from '../../src/auth/tokens.ts';
import { migrate } from '../../src/db/migrate.ts';
import { openForWriting } from '../../src/db/open.ts';
import { TEST_SECRET } from './server.ts';

const tokens = new Tokens([TEST_SECRET], 3600);

/** A token as a login would give it, for nodes started with TEST_SECRET. */
export async function mintToken(user: string): Promise<string> {
  return (await tokens.issue(user, 0)).token;
}

/** Makes a database with users in it, all with the password `secret`: registering thousands would take minutes. */
export async function createDatabase(path: string, users: readonly string[]): Promise<void> {
  const db = openForWriting(path);
  await migrate(db, hashPassword);
  const hash = await hashPassword('secret');
  const insert = db.prepare('INSERT INTO users (user_id, password) VALUES (?, ?)');
  db.transaction(() => {
    for (const user of users) insert.run(user, hash);
  })();
  db.close();
}

/** Reads a database that a server has open. */
export function queryDatabase<Row>(path: string, sql: string, ...values: unknown[]): Row[] {
  const db = new Database(path, { readonly: true });
  try {
    return db.prepare(sql).all(...values) as Row[];
  } finally {
    db.close();
  }
}
