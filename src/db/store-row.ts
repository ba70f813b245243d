import type { DatabaseIdentity } from '../core/lease.ts';
import type { Db } from './open.ts';

/** Another writer has taken over this database: this one must not commit again. */
export class Fenced extends Error {
  constructor(mine: number, current: number) {
    super(`Generation ${mine} was replaced by ${current}: another writer has this database now.`);
    this.name = 'Fenced';
  }
}

/** Columns that every schema version has. */
const IDENTITY = 'database_id AS databaseId, epoch, generation, canary AS transactions';

/** The newest message id ever given; 0 if there was none. It includes messages from before the `head` column existed. */
export const HEAD = 'SELECT max(head, coalesce((SELECT max(id) FROM messages), 0)) FROM store';

export function readIdentity(db: Db): DatabaseIdentity {
  return db.prepare(`SELECT ${IDENTITY} FROM store`).get() as DatabaseIdentity;
}

/** Makes the caller the writer: from this commit on, writers of earlier generations are fenced. */
export function claimGeneration(db: Db): DatabaseIdentity {
  return db
    .prepare(`UPDATE store SET generation = generation + 1, canary = canary + 1 RETURNING ${IDENTITY}`)
    .get() as DatabaseIdentity;
}

/** The fence (G7). Call it first in every write transaction. */
export function generationCheck(db: Db, mine: number): () => void {
  const current = db.prepare('SELECT generation FROM store').pluck();
  return () => {
    const generation = current.get() as number;
    if (generation !== mine) throw new Fenced(mine, generation);
  };
}
