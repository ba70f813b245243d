import type { Command, CommandBatch, Outcome } from '../../src/core/commands.ts';
import { migrate } from '../../src/db/migrate.ts';
import { type Db, openForWriting } from '../../src/db/open.ts';
import { Ledger } from '../../src/writer/ledger.ts';

/** A migrated database on disk, and a ledger that has claimed it. */
export async function openLedger(
  path: string,
  onDefect: (error: unknown) => void = (error) => {
    throw error;
  },
): Promise<Ledger> {
  return new Ledger(await openMigrated(path), onDefect);
}

export async function openMigrated(path: string): Promise<Db> {
  const db = openForWriting(path);
  await migrate(db, async (password) => `hashed ${password}`);
  return db;
}

export const batch = (commands: readonly Command[], seq = 1, gateway = 'g'): CommandBatch => ({
  gateway,
  seq,
  at: 0,
  commands,
});

export const register = (user: string, passwordHash = `hash of ${user}`): Command => ({
  kind: 'register',
  user,
  passwordHash,
});

export const send = (from: string, to: string, text: string, clientId: string): Command => ({
  kind: 'send',
  from,
  to,
  text,
  clientId,
});

let positions = 0;

/** Commits commands as one batch; answers the outcome of each. */
export function commit(
  ledger: Ledger,
  commands: readonly Command[],
  position = `p-${++positions}`,
): { outcomes: Outcome[]; committed: ReturnType<Ledger['commit']> } {
  const committed = ledger.commit({ batches: [batch(commands)], position });
  const listed = new Map(committed.results[0]?.outcomes);
  return { committed, outcomes: commands.map((_, i) => listed.get(i) ?? { kind: 'done' }) };
}
