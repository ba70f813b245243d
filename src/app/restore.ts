import { copyFileSync, existsSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { readConfig } from '../config/config.ts';
import { FileLeaser } from '../db/file-lock.ts';
import { isCurrent, newEpoch } from '../db/migrate.ts';
import { DatabaseError, openForReading, openForWriting } from '../db/open.ts';
import { fail } from './fail.ts';

/**
 * `npm run restore -- <file>`: puts a back-up in the place of DATABASE_PATH, while no node is running. The database that was
 * there is kept beside it. The restored one gets a new epoch, by which clients that are ahead of it see that they are.
 */
export async function restore(
  environment: Readonly<Record<string, string | undefined>>,
  file: string | undefined,
): Promise<void> {
  if (file === undefined) fail('usage: npm run restore -- <file>');
  const { database } = readConfig(environment);
  const target = database.path;
  try {
    checkBackup(file);
    const lease = new FileLeaser(target);
    const answer = await lease.acquire();
    if (answer.kind === 'taken') fail(`the database ${target} is in use: stop Parley first.`);
    const kept = setAside(target);
    copyFileSync(path.resolve(file), target);
    const db = openForWriting(target);
    const epoch = newEpoch();
    db.prepare('UPDATE store SET epoch = ?, log_position = NULL').run(epoch);
    db.close();
    await lease.release();
    process.stdout.write(
      `${target} restored from ${file}, epoch ${epoch}${kept ? `; the database that was there is ${kept}` : ''}\n`,
    );
  } catch (error) {
    if (error instanceof DatabaseError) fail(error.message);
    throw error;
  }
}

function checkBackup(file: string): void {
  const db = openForReading(file);
  try {
    if (!isCurrent(db)) throw new DatabaseError(`${file} is not a back-up made by this version of Parley.`);
    const result = db.pragma('integrity_check', { simple: true });
    if (result !== 'ok') throw new DatabaseError(`${file} is damaged: ${String(result)}.`);
  } finally {
    db.close();
  }
}

/** Moves a database and what belongs to it out of the way; its new name, or undefined if there is none. */
function setAside(target: string): string | undefined {
  if (!existsSync(target)) return undefined;
  const kept = `${target}.before-restore-${new Date().toISOString().replace(/[:.]/g, '-')}`;
  renameSync(target, kept);
  for (const suffix of ['-wal', '-shm']) {
    if (existsSync(target + suffix)) renameSync(target + suffix, kept + suffix);
    rmSync(target + suffix, { force: true });
  }
  return kept;
}
