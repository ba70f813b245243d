import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRuntime } from '../../src/config/runtime.ts';

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
