import Database from 'better-sqlite3';
import type { LeaseAnswer, Leaser } from '../core/lease.ts';
import { behindLinks } from './files.ts';
import { cannotOpen } from './open.ts';

/**
 * A lock on `<database>.lock`, held by an open SQLite transaction: the operating system lets go of it when the process
 * dies, however it dies. Stores that share a database under a coordinator hold it shared; who must be alone, exclusively.
 */
export class FileLock {
  readonly #databasePath: string;
  readonly #path: string;
  readonly #mode: 'shared' | 'exclusive';
  #lock: Database.Database | undefined;

  constructor(databasePath: string, mode: 'shared' | 'exclusive') {
    this.#databasePath = databasePath;
    // One lock for one file, by whatever name somebody knows it.
    this.#path = `${behindLinks(databasePath)}.lock`;
    this.#mode = mode;
  }

  /** @returns false if another process has it. @throws DatabaseError */
  acquire(): boolean {
    if (this.#lock) return true;
    let lock: Database.Database | undefined;
    try {
      lock = new Database(this.#path, { timeout: 0 });
      // Nothing is ever written: no journal is left behind. OFF is not granted.
      lock.pragma('journal_mode = MEMORY');
      if (this.#mode === 'exclusive') lock.exec('BEGIN EXCLUSIVE');
      else lock.exec('BEGIN; SELECT count(*) FROM sqlite_schema');
    } catch (error) {
      lock?.close();
      if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) return false;
      throw cannotOpen(this.#databasePath, error);
    }
    this.#lock = lock;
    return true;
  }

  release(): void {
    this.#lock?.close();
    this.#lock = undefined;
  }
}

/** The lease where there is no coordinator: whoever has the file to itself is the writer. */
export class FileLeaser implements Leaser {
  readonly #lock: FileLock;

  constructor(databasePath: string) {
    this.#lock = new FileLock(databasePath, 'exclusive');
  }

  async acquire(): Promise<LeaseAnswer> {
    if (this.#lock.acquire()) return { kind: 'held' };
    return { kind: 'taken', holder: 'another Parley process on this machine' };
  }

  async renew(): Promise<LeaseAnswer> {
    return { kind: 'held' };
  }

  async release(): Promise<void> {
    this.#lock.release();
  }
}
