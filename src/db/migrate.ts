import { randomBytes, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { DatabaseError, type Db, NewerSchema } from './open.ts';
import {
  finishScrub,
  type Imported,
  importSeedTables,
  MOVED_TO,
  readSeedUsers,
  type SeedUsers,
  seedShape,
} from './seed-import.ts';

const MIGRATIONS = path.join(import.meta.dirname, 'migrations');
/** 'Parl' in ASCII, in the file's header. It distinguishes our schema from that of another program which also numbers its versions. */
const APPLICATION_ID = 0x5061726c;

type Migration = { readonly version: number; readonly sql: string };

function migrations(): Migration[] {
  return readdirSync(MIGRATIONS)
    .filter((file) => file.endsWith('.sql'))
    .sort()
    .map((file) => ({
      version: Number.parseInt(file, 10),
      sql: readFileSync(path.join(MIGRATIONS, file), 'utf8'),
    }));
}

/** The schema this program reads and writes. */
export const SCHEMA_VERSION = Math.max(...migrations().map(({ version }) => version));

const versionOf = (db: Db): number => db.pragma('user_version', { simple: true }) as number;

/** Whether the database has the schema that this program reads and writes. */
export const isCurrent = (db: Db): boolean => versionOf(db) === SCHEMA_VERSION;

/** Whether this is a Parley database, of any version. */
export const isOurs = (db: Db): boolean => db.pragma('application_id', { simple: true }) === APPLICATION_ID;

export type MigrationReport = {
  readonly from: number;
  readonly to: number;
  /** Set if the file held the tables of the chat app Parley grew from. */
  readonly imported?: Imported;
};

/**
 * Brings a database to this program's schema: an empty one, an older one, or one with the seed's two tables. Everything happens
 * in one transaction, and several processes may try at once. Hashing the seed's passwords takes about 20 ms each.
 * @throws DatabaseError if the database is newer, or not ours
 */
export async function migrate(db: Db, hash: (password: string) => Promise<string>): Promise<MigrationReport> {
  refuseForeign(db);
  const from = versionOf(db);
  const shape = from === 0 ? seedShape(db) : undefined;
  const seedUsers = shape === undefined ? undefined : await readSeedUsers(db, hash);
  // Our schema has no foreign keys. The old tables may have some, which could keep them from being dropped.
  db.pragma('foreign_keys = OFF');
  // Whatever else in the file names the old tables (views, triggers, other tables' keys) goes on to name those of our schema.
  db.pragma('legacy_alter_table = ON');
  const report = db.transaction(() => migrateNow(db, seedUsers)).exclusive();
  finishScrub(db);
  return report;
}

function migrateNow(db: Db, seedUsers: SeedUsers | undefined): MigrationReport {
  // Read again inside the transaction, since another process may have been first.
  refuseForeign(db);
  const from = versionOf(db);
  const shape = from === 0 ? seedShape(db) : undefined;
  const moved = shape === undefined ? undefined : shape.moveAside();
  for (const { version, sql } of migrations()) {
    if (version > from) db.exec(sql);
  }
  if (from === 0) {
    db.prepare('INSERT INTO store (one, database_id, epoch, token_secret) VALUES (1, ?, ?, ?)').run(
      randomUUID(),
      newEpoch(),
      randomBytes(32).toString('base64url'),
    );
    db.pragma(`application_id = ${APPLICATION_ID}`);
  }
  db.pragma(`user_version = ${SCHEMA_VERSION}`);
  const imported = moved && importSeedTables(db, moved, seedUsers ?? new Map());
  return { from, to: SCHEMA_VERSION, ...(imported && { imported }) };
}

/** Changes nothing. @throws NewerSchema; DatabaseError if the database is another program's */
export function refuseForeign(db: Db): void {
  const version = versionOf(db);
  const application = db.pragma('application_id', { simple: true }) as number;
  if (application !== APPLICATION_ID && (application !== 0 || version > 0 || hasTablesOfOthers(db))) {
    throw new DatabaseError(
      `The database ${db.name} belongs to another program (application ${application}, schema ${version}). Nothing was changed.`,
    );
  }
  if (version > SCHEMA_VERSION) throw new NewerSchema(db.name, version, SCHEMA_VERSION);
  if (version === 0) refuseTakenNames(db);
}

const NAMED =
  "FROM sqlite_schema WHERE type <> 'trigger' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' AND name NOT IN ('users', 'messages')";

/** The old chat app's file may have tables of its owner's beside the two. @throws DatabaseError if one has a name that our schema needs */
function refuseTakenNames(db: Db): void {
  const found = db.prepare(`SELECT type, name ${NAMED}`).all() as { type: string; name: string }[];
  if (found.length === 0) return;
  const needed = new Set(namesNeeded());
  const taken = found.filter(({ name }) => needed.has(name.toLowerCase()));
  if (taken.length === 0) return;
  throw new DatabaseError(
    `The database ${db.name} has, beside the old chat app's tables, ${taken.map(({ type, name }) => `${type === 'index' ? 'an' : 'a'} ${type} '${name}'`).join(', ')}: Parley needs such a name for its own. Rename a table, and drop a view or an index, which SQLite can't rename. Nothing was changed.`,
  );
}

/** Names of tables and indexes, other than the seed's two, that a migration from the start gives. */
function namesNeeded(): string[] {
  const fresh = new Database(':memory:');
  try {
    for (const { sql } of migrations()) fresh.exec(sql);
    return [...(fresh.prepare(`SELECT name ${NAMED}`).pluck().all() as string[]), ...MOVED_TO];
  } finally {
    fresh.close();
  }
}

/** Whether it has tables other than the seed's. */
const hasTablesOfOthers = (db: Db): boolean =>
  seedShape(db) === undefined &&
  db
    .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'")
    .get() !== undefined;

/** A new identifier for one history of the database. */
export const newEpoch = (): string => randomBytes(9).toString('base64url');
