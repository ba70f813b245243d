import Database from 'better-sqlite3';
import type { StoredMessage } from './checker.ts';
import { fingerprint } from './history.ts';

/** Looks into the server's database from outside, read-only. */
export class DatabaseView {
  readonly #path: string;
  #database: Database.Database | undefined;
  #byId: Database.Statement<[number]> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Whether the message is stored at this moment; undefined when the file cannot be read now. */
  has(id: number): boolean | undefined {
    try {
      this.#byId ??= this.#open().prepare<[number]>('SELECT 1 FROM messages WHERE id = ?');
      return this.#byId.get(id) !== undefined;
    } catch {
      return undefined;
    }
  }

  /** Id of each user's newest message. */
  newest(): Map<string, number> {
    const sql = `SELECT user, max(id) AS id FROM
      (SELECT sender AS user, id FROM messages UNION ALL SELECT receiver, id FROM messages) GROUP BY user`;
    const rows = this.#open().prepare<[], { user: string; id: number }>(sql).all();
    return new Map(rows.map(({ user, id }) => [user, id]));
  }

  /** All messages, in the order of their ids; texts as fingerprints. */
  rows(): StoredMessage[] {
    type Row = { id: number; sender: string; receiver: string; message: string; client_id: string | null };
    const sql = 'SELECT id, sender, receiver, message, client_id FROM messages ORDER BY id';
    const rows: StoredMessage[] = [];
    for (const { id, sender, receiver, message, client_id } of this.#open().prepare<[], Row>(sql).iterate()) {
      rows.push({ id, sender, receiver, text: fingerprint(message), clientId: client_id });
    }
    return rows;
  }

  /** What `PRAGMA integrity_check` finds wrong. */
  damage(): string[] {
    const found = this.#open().pragma('integrity_check') as { integrity_check: string }[];
    return found.map((row) => row.integrity_check).filter((line) => line !== 'ok');
  }

  close(): void {
    this.#database?.close();
    this.#database = undefined;
    this.#byId = undefined;
  }

  #open(): Database.Database {
    this.#database ??= new Database(this.#path, { readonly: true, fileMustExist: true, timeout: 2_000 });
    return this.#database;
  }
}
