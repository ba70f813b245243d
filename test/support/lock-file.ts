import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './root.ts';

/*
 * What npm 12 leaves out of a lock file, or puts in, and `npm ci` needs otherwise with an older npm or Node. It reads
 * packages' properties from here alone, so they are set here. `npm run lock` writes it, after each change by npm.
 */

const FILE = path.join(ROOT, 'package-lock.json');

interface LockedPackage {
  readonly optional?: boolean;
  readonly engines?: unknown;
  readonly gypfile?: boolean;
}

interface LockFile {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

export function readLockFile(): LockFile {
  return JSON.parse(readFileSync(FILE, 'utf8'));
}

function onAny(name: string, locked: LockedPackage): LockedPackage {
  // It brings its binaries along. npm up to 10 compiles whatever has a binding.gyp, unless this says no.
  if (name === 'node_modules/better-sqlite3') return { ...locked, gypfile: false };
  // Binaries for one platform. Without a word, npm leaves out what names a newer Node than its own; they run on the one
  // that comes along.
  if (locked.optional !== true) return locked;
  const { engines: _, ...rest } = locked;
  return rest;
}

/** The lock file with which `npm ci` installs the same, whatever its npm (7 or newer) and its Node. */
export function forAnyNpm(lockFile: LockFile): LockFile {
  const packages = Object.entries(lockFile.packages).map(
    ([name, locked]) => [name, onAny(name, locked)] as const,
  );
  return { ...lockFile, packages: Object.fromEntries(packages) };
}

if (import.meta.main) writeFileSync(FILE, `${JSON.stringify(forAnyNpm(readLockFile()), null, 2)}\n`);
