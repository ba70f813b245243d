import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { openFilesMax } from '../../src/base/open-files.ts';
import { temporaryFolder } from '../support/server.ts';

const folder = temporaryFolder({ after });

for (const [what, text, files] of [
  ['a number is that', 'Max open files            1024                 524288               files', 1024],
  [
    'unlimited is no limit',
    'Max open files            unlimited            unlimited            files',
    Number.POSITIVE_INFINITY,
  ],
] as const) {
  test(`open files: ${what}`, () => {
    const limits = `${folder}/limits`;
    writeFileSync(limits, `Max processes             31             31             processes\n${text}\n`);
    assert.equal(openFilesMax(limits), files);
  });
}

test('open files: where nothing tells the limit, as without /proc, there is none, and a gateway starts', () => {
  assert.equal(openFilesMax(`${folder}/none`), Number.POSITIVE_INFINITY);
});
