import { statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';

/** What SQLite keeps beside a database file. It belongs to that file: beside another one, it is replayed onto that. */
const COMPANIONS = ['-wal', '-shm', '-journal'] as const;

/** Whether two paths lead to the same file, through links, too; false if one leads to none. */
export function sameFile(one: string, other: string): boolean {
  const [a, b] = [one, other].map((file) => statSync(file, { throwIfNoEntry: false }));
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}

/** Removes a database with all that belongs to it, as far as it is there. */
export async function removeDatabase(file: string): Promise<void> {
  for (const suffix of ['', ...COMPANIONS]) await rm(file + suffix, { force: true });
}

/**
 * Renames what there is of a database: it is opened under the new name as it would have been under the old one.
 * The file goes first: one that stayed without its log would be opened, and lack commits.
 * @returns the new names
 */
export async function moveDatabase(from: string, to: string): Promise<string[]> {
  const moved: string[] = [];
  for (const suffix of ['', ...COMPANIONS]) {
    try {
      await rename(from + suffix, to + suffix);
      moved.push(to + suffix);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return moved;
}

/** Gives a file that is whole its name, so that the two outlive a power cut. */
export async function putInPlace(file: string, name: string): Promise<void> {
  await sync(file);
  await rename(file, name);
  await sync(path.dirname(name));
}

async function sync(file: string): Promise<void> {
  const handle = await open(file, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
