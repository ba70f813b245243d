import assert from 'node:assert/strict';
import { validateHeaderValue } from 'node:http';
import { test } from 'node:test';
import { nodeName } from '../../src/app/node-name.ts';

for (const [host, name] of [
  ['chat-1.example.org', 'chat-1.example.org'],
  // Such a name was in a header of every answer, so that each was an error 500.
  ['Jörgs 💻/"a"\r\n', 'J-rgs----a---'],
  ['h'.repeat(200), 'h'.repeat(32)],
  [`${'h'.repeat(31)}💻`, `${'h'.repeat(31)}-`],
] as const) {
  test(`node name: of the host ${JSON.stringify(host)}, in letters that every header takes`, () => {
    const node = nodeName(host);
    assert.match(node, /-[0-9a-f]{4}$/);
    assert.equal(node.slice(0, -5), name);
    validateHeaderValue('Parley-Worker', node);
  });
}
