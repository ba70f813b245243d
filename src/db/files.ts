import { chmodSync, existsSync, readlinkSync, realpathSync, type Stats, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';

/** Files that SQLite keeps beside a database. They belong to it: beside another database, they would be replayed onto that one. */
const COMPANIONS = ['-wal', '-shm', '-journal'] as const;

/** The number of links in a row that Linux follows. */
const LINKS_MAX = 40;

/**
 * The path of a database behind all links. SQLite keeps its companions beside the file itself. A database that does not exist yet
 * is where it will be created, which is where a dangling link leads.
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

/** The target of a link; undefined if the file is no link, does not exist, or can't be read. */
function linkOf(file: string): string | undefined {
  try {
    return readlinkSync(file);
  } catch {
    return undefined;
  }
}

/** Whether a path has no database, or an empty file, which is not one yet. */
export const isMissing = (database: string): boolean =>
  !existsSync(database) || statSync(database).size === 0;

/** Size of a file beside a database, in bytes; 0 if there is none. A write-ahead log keeps the space it once took. */
export function companionBytes(database: string, suffix: (typeof COMPANIONS)[number]): number {
  return statSync(behindLinks(database) + suffix, { throwIfNoEntry: false })?.size ?? 0;
}

/** Length of a writer's log, in bytes; 0 if there is none, or if it can't be looked at: then commits fail, and say why. */
export function logBytes(database: string): number {
  try {
    return companionBytes(database, '-wal');
  } catch {
    return 0;
  }
}

/** Paths of the files that may be beside a database: SQLite's, and the lock. */
export function besides(database: string): string[] {
  const target = behindLinks(database);
  return [...COMPANIONS, '.lock'].map((suffix) => target + suffix);
}

/** Whether two paths lead to the same file, links included; false if one leads to none, or to one that can't be looked at. */
export function sameFile(one: string, other: string): boolean {
  const [a, b] = [one, other].map(statOf);
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}

function statOf(file: string): Stats | undefined {
  try {
    return statSync(file);
  } catch {
    return undefined;
  }
}

/** Removes a database and its companions, as far as they exist. */
export async function removeDatabase(file: string): Promise<void> {
  for (const suffix of ['', ...COMPANIONS]) await rm(file + suffix, { force: true });
}

/**
 * Renames a database and its companions, so that it opens under the new name as it did under the old one. The file goes first:
 * one left behind without its log could be opened, and would lack commits.
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
 * The mode for a file that holds the token secret, password hashes and messages. If everybody may read it, that was a default, as
 * in the old chat app's file: then only its owner may. A file that is closed to others but open to its group, such as 0640, was
 * given to that group on purpose (for a user that copies files, say), and stays so.
 */
const privateMode = (mode: number): number => mode & (mode & 0o007 ? 0o700 : 0o770);

/** The permission bits of a file; none if it does not exist. */
const modeOf = (file: string): number => (statSync(file, { throwIfNoEntry: false })?.mode ?? 0) & 0o777;

/**
 * Closes a database and the files beside it to other users of the machine. Files that SQLite creates later take its mode. The
 * lock is included, since anybody who can read it can lock it.
 * @returns the files that stay open to others: this user may not change them, or their file system has no modes
 */
export function closeToOthers(database: string): string[] {
  const files = [behindLinks(database), ...besides(database)];
  const isOpen = (file: string): boolean => modeOf(file) !== privateMode(modeOf(file));
  for (const file of files.filter(isOpen)) {
    try {
      chmodSync(file, privateMode(modeOf(file)));
    } catch {
      // The result is checked below.
    }
  }
  return files.filter(isOpen);
}

/**
 * Creates the empty file that SQLite will fill with a copy, private from its first byte.
 * @param like a file whose group may read the copy if it may read that file
 * @throws EEXIST if the file exists by now, perhaps from somebody who wants to read the copy
 */
export async function createPrivate(file: string, like?: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    if (like !== undefined) await handle.chmod(privateMode(modeOf(like)) | 0o600);
  } finally {
    await handle.close();
  }
}

/** Renames a complete file, and syncs file and name, so that both survive a power cut. */
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
