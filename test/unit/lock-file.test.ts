import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { forAnyNpm, readLockFile } from '../support/lock-file.ts';
import { ROOT } from '../support/root.ts';

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

test('npm ci brings the right Node and what builds the web app where NODE_ENV is production, too', () => {
  const { status, stdout, stderr } = spawnSync('npm', ['config', 'list', '--json'], {
    cwd: ROOT,
    env: { ...process.env, NODE_ENV: 'production' },
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  assert.deepEqual(JSON.parse(stdout).include, ['dev']);
});
