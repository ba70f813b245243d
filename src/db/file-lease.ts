import Database from 'better-sqlite3';
import type { LeaseAnswer, Leaser } from '../core/lease.ts';
import { cannotOpen } from './open.ts';

/**
 * The lease where there is no coordinator: an exclusive lock on `<database>.lock`, held by an open transaction. The
 * operating system lets go of it when the process dies, however it dies.
 */
export class FileLeaser implements Leaser {
  readonly #path: string;
  #lock: Database.Database | undefined;

  constructor(databasePath: string) {
    this.#path = `${databasePath}.lock`;
  }

  async acquire(): Promise<LeaseAnswer> {
    if (this.#lock) return { kind: 'held' };
    let lock: Database.Database | undefined;
    try {
      lock = new Database(this.#path, { timeout: 0 });
      // Nothing is ever written: no journal is left behind.
      lock.pragma('journal_mode = OFF');
      lock.exec('BEGIN EXCLUSIVE');
    } catch (error) {
      lock?.close();
      if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
        return { kind: 'taken', holder: 'another Parley process on this machine' };
      }
      throw cannotOpen(this.#path, error);
    }
    this.#lock = lock;
    return { kind: 'held' };
  }

  async renew(): Promise<LeaseAnswer> {
    return { kind: 'held' };
  }

  async release(): Promise<void> {
    this.#lock?.close();
    this.#lock = undefined;
  }
}
