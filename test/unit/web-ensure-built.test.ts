import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../support/root.ts';
import { temporaryFolder } from '../support/server.ts';

test('npm start builds the pages anew where their sources are others, be they older, and else leaves them', (t) => {
  const checkout = temporaryFolder(t);
  for (const part of ['src', 'package.json', 'package-lock.json', 'tsconfig.json'])
    cpSync(path.join(ROOT, part), path.join(checkout, part), { recursive: true });
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(checkout, 'node_modules'));
  const build = (): void => {
    execFileSync(process.execPath, ['src/web/ensure-built.ts'], { cwd: checkout, stdio: 'inherit' });
  };
  const page = path.join(checkout, 'dist/web/index.html');
  build();
  const first = statSync(page).mtimeMs;
  build();
  assert.equal(statSync(page).mtimeMs, first);

  const source = path.join(checkout, 'src/web/index.html');
  writeFileSync(source, readFileSync(source, 'utf8').replace('<title>Parley', '<title>Another Parley'));
  utimesSync(source, 0, 0);
  build();
  assert.match(readFileSync(page, 'utf8'), /<title>Another Parley/);
});
