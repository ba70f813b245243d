import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { checkRuntime } from '../../src/config/runtime.ts';
import { ROOT } from '../support/root.ts';

const NAME = 'NODE_COMPILE_CACHE';

for (const [version, ends] of [
  ['18.20.4', true],
  ['20.19.0', true],
  ['22.13.1', true],
  ['22.14.0', false],
  ['23.0.0', false],
  ['24.21.0', false],
] as const) {
  test(`start: Node ${version} ${ends ? 'is too old, which is said in one line' : 'is new enough'}`, (t) => {
    const versions = Object.getOwnPropertyDescriptor(process, 'versions') as PropertyDescriptor;
    t.after(() => Object.defineProperty(process, 'versions', versions));
    Object.defineProperty(process, 'versions', {
      ...versions,
      value: { ...process.versions, node: version },
    });
    const codes: unknown[] = [];
    let said = '';
    t.mock.method(process, 'exit', (code: unknown) => codes.push(code));
    const write = t.mock.method(process.stderr, 'write', (text: string) => {
      said += text;
    });
    checkRuntime();
    write.mock.restore();
    assert.deepEqual(codes, ends ? [1] : []);
    assert.match(said, ends ? /^parley: Node 22\.14 or newer is needed, this is [\d.]+\. .*\n$/ : /^$/);
  });
}

// Compiled code was kept in, and run from, the working folder.
test('start: an empty NODE_COMPILE_CACHE counts as not set', async (t) => {
  const before = process.env[NAME];
  t.after(() => {
    if (before === undefined) delete process.env[NAME];
    else process.env[NAME] = before;
  });
  process.env[NAME] = '';
  const { COMPILE_CACHE } = await import(`../../src/config/runtime.ts?${NAME}=`);
  assert.equal(COMPILE_CACHE, path.join(ROOT, 'node_modules/.cache/compile'));
});
