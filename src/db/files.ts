import { chmodSync, existsSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';

/** What SQLite keeps beside a database file. It belongs to that file: beside another one, it is replayed onto that. */
const COMPANIONS = ['-wal', '-shm', '-journal'] as const;

/** As many links in a row as Linux follows. */
const LINKS_MAX = 40;

/**
 * Where a database is, behind all links. What lies beside it lies beside the file itself, as SQLite has it. One that is yet to
 * be made is in the folder where it will be, which is where a link to nothing leads.
 */
export function behindLinks(database: string, linksMax = LINKS_MAX): string {
  if (existsSync(database)) return realpathSync(database);
  const folder = path.dirname(database);
  if (!existsSync(folder)) return database;
  const place = path.join(realpathSync(folder), path.basename(database));
  const next = linkOf(place);
  if (next === undefined || linksMax === 0) return place;
  return behindLinks(path.resolve(path.dirname(place), next), linksMax - 1);
}

/** Where a link leads; undefined for what is none, is not there, or can't be looked at. */
function linkOf(file: string): string | undefined {
  try {
    return readlinkSync(file);
  } catch {
    return undefined;
  }
}

/** Whether there is no database at a path, or an empty file, which is none yet. */
export const isMissing = (database: string): boolean =>
  !existsSync(database) || statSync(database).size === 0;

/** Length of what is kept beside a database, in bytes; 0 if there is none. A write-ahead log keeps the space it once took. */
export function companionBytes(database: string, suffix: (typeof COMPANIONS)[number]): number {
  return statSync(behindLinks(database) + suffix, { throwIfNoEntry: false })?.size ?? 0;
}

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

/**
 * The mode of a file that holds the token secret, password hashes and messages. One that everybody may read was left so by a
 * default, as the old chat app's is: it becomes its owner's alone. One that is closed to others but open to its group, such
 * as 0640, was given to that group on purpose (for a user that copies files, say), and stays so.
 */
const privateMode = (mode: number): number => mode & (mode & 0o007 ? 0o700 : 0o770);

/** The permission bits of a file; none if it is not there. */
const modeOf = (file: string): number => (statSync(file, { throwIfNoEntry: false })?.mode ?? 0) & 0o777;

/**
 * Closes a database and what lies beside it to other users of the machine; what SQLite makes beside it later has its mode. The
 * lock as well, since who can read it can lock it.
 * @returns the files that stay open to others: this user may not change them, or their file system knows no modes
 */
export function closeToOthers(database: string): string[] {
  const target = behindLinks(database);
  const files = ['', ...COMPANIONS, '.lock'].map((suffix) => target + suffix);
  const isOpen = (file: string): boolean => modeOf(file) !== privateMode(modeOf(file));
  for (const file of files.filter(isOpen)) {
    try {
      chmodSync(file, privateMode(modeOf(file)));
    } catch {
      // Whether it was done is looked at below.
    }
  }
  return files.filter(isOpen);
}

/**
 * Makes the empty file that SQLite will fill with a copy: nobody else's from its first byte.
 * @param like whose group may read the copy, if it may read this one
 * @throws EEXIST if there is one by now, perhaps of somebody who would read along
 */
export async function createPrivate(file: string, like?: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    if (like !== undefined) await handle.chmod(privateMode(modeOf(like)) | 0o600);
  } finally {
    await handle.close();
  }
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
