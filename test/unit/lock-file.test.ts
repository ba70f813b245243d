import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forAnyNpm, readLockFile } from '../support/lock-file.ts';

test('npm ci compiles nothing and leaves out no binary, with any npm and on any Node: `npm run lock` sees to it', () => {
  const lockFile = readLockFile();
  const { packages } = lockFile;
  assert.equal(packages['node_modules/better-sqlite3']?.gypfile, false);
  const choosy = Object.entries(packages).filter(
    ([, { optional, engines }]) => optional && engines !== undefined,
  );
  assert.deepEqual(choosy, []);
  assert.deepEqual(lockFile, forAnyNpm(lockFile));
});
