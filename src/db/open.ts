import { accessSync, closeSync, constants, existsSync, openSync, type Stats, statSync } from 'node:fs';
import { devNull } from 'node:os';
import Database from 'better-sqlite3';
import { behindLinks, besides, companionBytes } from './files.ts';

export type Db = Database.Database;

/** The database can't be used. The message is one sentence for the person who reads it at night. */
export class DatabaseError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DatabaseError';
  }
}

/** A newer version of this program has migrated the database. */
export class NewerSchema extends DatabaseError {
  constructor(file: string, found: number, known: number) {
    super(
      `The database ${file} has schema ${found}, this program knows ${known}: run the newer Parley it was last used with.`,
    );
    this.name = 'NewerSchema';
  }
}

/** Measured: a cache of 256 MB and a checkpoint every 20,000 pages halve the writer's time per row against the defaults. */
const CACHE_KIB = 256 * 1024;
export const CHECKPOINT_PAGES = 20_000;
/** How long to wait for another process's lock, in milliseconds. */
const BUSY_MS = 1_000;

/**
 * Opens a database for its writer, with WAL and `synchronous=FULL`. Both are read back: without them, the promise of durability
 * would be empty.
 * @param refuse throws if the file is not ours. It is called first, since WAL changes the file.
 * @throws DatabaseError
 */
export function openForWriting(path: string, refuse: (db: Db) => void = () => {}): Db {
  return opening(path, {}, (db) => {
    refuse(db);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma(`cache_size = -${CACHE_KIB}`);
    db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    const journal = db.pragma('journal_mode', { simple: true });
    const synchronous = db.pragma('synchronous', { simple: true });
    if (journal !== 'wal' || synchronous !== 2) {
      throw new DatabaseError(
        `The database ${path} does not take journal_mode=WAL and synchronous=FULL (it says ${journal}, ${synchronous}); is it on a network file system?`,
      );
    }
  });
}

/**
 * Rolls back the commit during which the old chat app was killed. Its journal is still there ("hot" in SQLite's terms), and a
 * read-only handle can't roll it back. A database of ours has a write-ahead log instead.
 * @throws DatabaseError
 */
export function rollBackHotJournal(path: string): void {
  if (companionBytes(path, '-journal') === 0) return;
  // The first read does the rollback.
  opening(path, {}, (db) => db.pragma('user_version')).close();
}

/**
 * Opens a database for reading beside its writer. It is not memory-mapped (`mmap_size`): SQLite drops the mapping after every
 * commit, and each page faults in anew. Measured with 10,000,000 messages and one commit a second: a history page took three
 * times the CPU, and seven times as long at the 99th percentile.
 * @throws DatabaseError
 */
export function openForReading(path: string): Db {
  return opening(path, { readonly: true, fileMustExist: true }, (db) =>
    db.pragma(`cache_size = -${CACHE_KIB / 4}`),
  );
}

/**
 * @returns a check that throws DatabaseError once an open file, or its log, is no longer at its path. SQLite would continue to
 *   write to it, and the next start would not find what was committed.
 */
export function placeCheck(db: Db): () => void {
  if (db.memory) return () => {};
  const target = behindLinks(db.name);
  const places = [db.name, `${target}-wal`, `${target}-shm`].map((file) => ({ file, was: placeOf(file) }));
  return () => {
    for (const { file, was } of places) {
      const found = placeOf(file);
      if (found?.ino !== was?.ino || found?.dev !== was?.dev)
        throw new DatabaseError(
          `the file was moved, deleted or replaced under the server: ${file} (take a back-up of what it has, stop, and restore that)`,
        );
    }
  };
}

const placeOf = (file: string): Stats | undefined => statSync(file, { throwIfNoEntry: false });

/** Opens a database. If `prepare` throws, it is closed again. @throws DatabaseError */
function opening(path: string, options: Database.Options, prepare: (db: Db) => void): Db {
  let db: Db | undefined;
  try {
    db = new Database(path, { ...options, timeout: BUSY_MS });
    prepare(db);
    return db;
  } catch (error) {
    db?.close();
    throw cannotOpen(path, error);
  }
}

/** Turns any error into one that names the database, and says what is wrong with it. */
export function cannotOpen(path: string, error: unknown): DatabaseError {
  if (error instanceof DatabaseError) return error;
  if (isFolder(path))
    return new DatabaseError(`The database ${path} can't be opened: it is a folder, and no file.`, {
      cause: error,
    });
  const closed = /^SQLITE_(CANTOPEN|READONLY)/.test(codeOf(error)) ? closedCompanion(path) : undefined;
  const why =
    closed === undefined
      ? reason(error)
      : `${closed}, which belongs to it, may not be read or written by this user: perhaps another one, such as root, has started the server once; make all its files this user's`;
  return new DatabaseError(`The database ${path} can't be opened: ${why}.`, { cause: error });
}

/** A file beside a database that this user may not use, even if the database itself is permitted. */
const closedCompanion = (path: string): string | undefined =>
  besides(path).find((file) => existsSync(file) && (isFolder(file) || isClosed(file)));

/** Whether its mode excludes this user. A read-only file system is another matter. */
function isClosed(file: string): boolean {
  try {
    accessSync(file, constants.R_OK | constants.W_OK);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES';
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : '';

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false; // As far as can be told.
  }
}

/** Files that SQLite opens for a database: itself, its log, and the log's index. */
const FILES_OF_A_DATABASE = 3;

/** Whether a database could not be opened now, whatever its path: SQLite does not tell this from a file that is not there. */
function isOutOfFiles(): boolean {
  const files: number[] = [];
  try {
    while (files.length < FILES_OF_A_DATABASE) files.push(openSync(devNull, 'r'));
    return false;
  } catch (error) {
    return /^E[MN]FILE$/.test(codeOf(error));
  } finally {
    files.forEach(closeSync);
  }
}

/** SQLite's error in words, with what to do if that is known. */
export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = codeOf(error);
  // A file that can't grow reports it this way, too.
  if (code.startsWith('SQLITE_FULL') || code === 'SQLITE_IOERR_SHMSIZE')
    return 'the disk is full (free some space; nothing that was acknowledged is lost)';
  if (code.startsWith('SQLITE_IOERR')) return `the disk answers with an I/O error (${code})`;
  if (code.startsWith('SQLITE_CORRUPT')) return 'the file is corrupt (stop, keep the file, restore a backup)';
  if (code.startsWith('SQLITE_NOTADB')) return 'the file is not an SQLite database';
  if (code.startsWith('SQLITE_CANTOPEN') || /directory does not exist/.test(error.message))
    return isOutOfFiles()
      ? 'this process, or the machine, has no file descriptors left (ulimit -n)'
      : 'the file or its folder does not exist, or may not be read or written by this user';
  if (code.startsWith('SQLITE_READONLY')) return 'the file or its folder may not be written by this user';
  if (code.startsWith('SQLITE_BUSY')) return 'another process keeps it locked';
  return error.message.replace(/\.$/, '');
}
