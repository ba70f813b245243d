import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ParleyError } from '../../src/contract/errors.ts';
import { LIMITS } from '../../src/contract/limits.ts';
import { parseJsonObject } from '../../src/core/json.ts';

const refusal = (text: string): string => {
  try {
    parseJsonObject(text);
  } catch (error) {
    if (error instanceof ParleyError) return error.code;
    throw error;
  }
  return 'none';
};
const arrays = (depth: number): string => `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
const objects = (depth: number): string => `${'{"a":'.repeat(depth - 1)}{}${'}'.repeat(depth - 1)}`;

test(`L1 depth: ${LIMITS.jsonDepth} levels are read, one more is refused, arrays and objects alike`, () => {
  for (const nested of [arrays, objects]) {
    assert.equal(refusal(nested(LIMITS.jsonDepth)), 'none');
    assert.equal(refusal(nested(LIMITS.jsonDepth + 1)), 'invalid_json');
    assert.equal(refusal(nested(8_000)), 'invalid_json');
  }
});

test('L1 depth: brackets within strings, and behind escapes, do not count', () => {
  const text = '{['.repeat(50);
  for (const value of [text, `"${text}`, `\\${text}`, `\\"${text}`, `${text}\\`]) {
    assert.deepEqual(parseJsonObject(JSON.stringify({ value })), { value });
  }
});

test('L1 depth: siblings do not add up', () => {
  assert.equal(refusal(`{"a":[${'{},'.repeat(1_000)}[]]}`), 'none');
});

test('JSON that is no object is refused as a request, text that is no JSON as JSON', () => {
  for (const text of ['5', '"x"', 'null', 'true', '[]', '[{}]'])
    assert.equal(refusal(text), 'invalid_request');
  for (const text of [
    '',
    ' ',
    '{',
    '}',
    '{]',
    '{"a":1,}',
    "{'a':1}",
    '{"a":"\n"}',
    '{}{}',
    'NaN',
    '\0',
    '[[',
    '{"a":[}',
  ])
    assert.equal(refusal(text), 'invalid_json', JSON.stringify(text));
});

test('JSON: whatever JSON.stringify makes of a flat or nested object is read back, and nothing but ParleyErrors comes out', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), (value) => {
      const text = JSON.stringify(value);
      assert.deepEqual(parseJsonObject(text), JSON.parse(text));
    }),
  );
  fc.assert(fc.property(fc.string(), (text) => void refusal(text)));
});
