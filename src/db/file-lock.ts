import Database from 'better-sqlite3';
import type { LeaseAnswer, Leaser } from '../core/lease.ts';
import { behindLinks } from './files.ts';
import { cannotOpen } from './open.ts';

/**
 * A lock on `<database>.lock`, held by an open SQLite transaction. The operating system releases it when the process dies,
 * however it dies. Stores that share a database under a coordinator hold it shared; one that must be alone holds it exclusively.
 */
export class FileLock {
  readonly #databasePath: string;
  readonly #path: string;
  readonly #mode: 'shared' | 'exclusive';
  #lock: Database.Database | undefined;

  constructor(databasePath: string, mode: 'shared' | 'exclusive') {
    this.#databasePath = databasePath;
    // One lock per file, by whatever path it is opened.
    this.#path = `${behindLinks(databasePath)}.lock`;
    this.#mode = mode;
  }

  /** @returns false if another process has it. @throws DatabaseError */
  acquire(): boolean {
    if (this.#lock) return true;
    let lock: Database.Database | undefined;
    try {
      lock = new Database(this.#path, { timeout: 0 });
      // Nothing is ever written, so MEMORY leaves no journal behind. SQLite does not grant OFF.
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

/** The lease without a coordinator: the process that has the file to itself is the writer. */
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
