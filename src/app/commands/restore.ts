import { existsSync } from 'node:fs';
import { hashPassword } from '../../auth/passwords.ts';
import { FileLeaser } from '../../db/file-lock.ts';
import {
  behindLinks,
  closeToOthers,
  createPrivate,
  moveDatabase,
  putInPlace,
  removeDatabase,
  sameFile,
} from '../../db/files.ts';
import { isOurs, migrate, newEpoch, refuseForeign } from '../../db/migrate.ts';
import { cannotOpen, DatabaseError, type Db, openForReading, openForWriting, reason } from '../../db/open.ts';
import { readIdentity } from '../../db/store-row.ts';
import { fail } from '../fail.ts';
import { readConfigOrFail } from '../read-config.ts';

/**
 * `npm run restore -- <file>`: replaces DATABASE_PATH with a back-up, while no node is running. The previous database is kept
 * beside it. The restored one gets a new epoch, by which clients that are ahead of it notice.
 */
export async function restore(environment: NodeJS.ProcessEnv, file: string | undefined): Promise<void> {
  if (file === undefined) fail('usage: npm run restore -- <file>');
  const { database } = readConfigOrFail(environment);
  try {
    if (sameFile(file, database.path))
      fail(`${file} is the database ${database.path} itself. Nothing was changed: name a back-up of it.`);
    const backup = openBackup(file);
    const lease = new FileLeaser(database.path);
    const answer = await lease.acquire();
    if (answer.kind === 'taken') fail(`the database ${database.path} is in use: stop Parley first.`);
    const target = behindLinks(database.path);
    let epoch: string;
    let kept: string;
    try {
      const copy = `${target}.restoring`;
      epoch = await makeCopy(backup, file, copy, target);
      kept = await replace(target, copy);
      check(target, epoch);
    } finally {
      await lease.release();
    }
    process.stdout.write(`${target} restored from ${file}, epoch ${epoch}${kept}\n`);
  } catch (error) {
    if (error instanceof DatabaseError) fail(error.message);
    throw error;
  }
}

function openBackup(file: string): Db {
  const db = openForReading(file);
  try {
    refuseForeign(db);
    if (!isOurs(db)) throw new DatabaseError(`${file} is not a back-up made by Parley.`);
    return db;
  } catch (error) {
    db.close();
    throw cannotOpen(file, error);
  }
}

/**
 * Makes and checks the future database, while the present one stays untouched. SQLite does the copying: if the back-up is the
 * file of a server that was killed, some commits may only be in the log beside it.
 * @returns its new epoch
 */
async function makeCopy(backup: Db, file: string, copy: string, target: string): Promise<string> {
  try {
    // Left by an interrupted restore.
    await removeDatabase(copy);
    await createPrivate(copy, existsSync(target) ? target : file);
    await backup.backup(copy);
    backup.close();
    const db = openForWriting(copy);
    const epoch = newEpoch();
    try {
      const found = problemIn(db, 'integrity_check');
      if (found !== undefined) throw new Error(`it is damaged (${found})`);
      // The back-up may be from an older version.
      await migrate(db, hashPassword);
      db.prepare('UPDATE store SET epoch = ?, log_position = NULL').run(epoch);
      endAllTokens(db);
    } finally {
      db.close();
    }
    return epoch;
  } catch (error) {
    await removeDatabase(copy).catch(() => {});
    const cause = error instanceof DatabaseError ? (error.cause ?? error) : error;
    throw new DatabaseError(`${file} can't be restored: ${reason(cause)}. Nothing was changed.`, { cause });
  }
}

/**
 * Raises every user's version above what it can have reached in any other history. Otherwise a token from there, perhaps revoked
 * there, would become valid once the version here is the same. That history began at zero, or at the time of an earlier restore.
 * Each step costs the hash of a password, some 20 ms, so it does not overtake the milliseconds since 1970.
 */
function endAllTokens(db: Db): void {
  db.prepare('UPDATE users SET token_version = max(token_version, ?) + 1').run(Date.now());
}

/** @returns what to report about the previous database */
async function replace(target: string, copy: string): Promise<string> {
  const aside = `${target}.before-restore-${new Date().toISOString().replace(/[:.]/g, '-')}`;
  let kept: string[];
  try {
    // The database that is put aside holds as many secrets as the new one.
    closeToOthers(target);
    kept = await moveDatabase(target, aside);
    await putInPlace(copy, target);
  } catch (error) {
    throw new DatabaseError(
      `${target} is not restored: ${reason(error)}. What was there may be ${aside} by now; mend that, and restore again.`,
      { cause: error },
    );
  }
  const [first] = kept;
  if (first === undefined) return '';
  if (first === aside) return `; the database that was there is ${aside}`;
  return `; ${first} is of a database that was moved away without it, and may hold its newest messages`;
}

/** Reads what a server will open: the restored file, and nothing left over from another one. */
function check(target: string, epoch: string): void {
  let found: string | undefined;
  try {
    const db = openForWriting(target, refuseForeign);
    try {
      found = problemIn(db, 'quick_check');
      if (readIdentity(db).epoch !== epoch) found ??= 'it is not what was written';
    } finally {
      db.close();
    }
  } catch (error) {
    found = reason(error instanceof DatabaseError ? (error.cause ?? error) : error);
  }
  if (found === undefined) return;
  throw new DatabaseError(
    `${target} was restored and does not read as it should: ${found}. Don't start Parley: see to the disk, and restore again.`,
  );
}

/** The first problem that SQLite finds in a file, in one line. */
function problemIn(db: Db, check: 'integrity_check' | 'quick_check'): string | undefined {
  const found = String(db.pragma(`${check}(1)`, { simple: true }));
  return found === 'ok' ? undefined : found.split('\n').at(-1);
}
