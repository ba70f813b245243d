import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FrameError, parseFrame } from '../../src/gateway/ws/parse-frame.ts';

const refusal = (frame: unknown, full = true): readonly [code: string, clientId: string | undefined] => {
  try {
    parseFrame(typeof frame === 'string' ? frame : JSON.stringify(frame), full);
  } catch (error) {
    if (error instanceof FrameError) return [error.code, error.clientId];
    throw error;
  }
  return ['none', undefined];
};
const code = (frame: unknown, full = true): string => refusal(frame, full)[0];
const message = { type: 'message', to: 'bob', message: 'hi', client_id: 'c1' };

test('B2: unknown fields are ignored', () => {
  assert.deepEqual(parseFrame(JSON.stringify({ ...message, mood: 'good', from: 'eve' }), true), message);
});

test('B1: the basic protocol knows connect and message only', () => {
  for (const frame of [
    { type: 'read', with: 'bob', id: 1 },
    { type: 'typing', to: 'bob' },
    { type: 'watch', users: [] },
    { type: 'ping' },
  ]) {
    assert.equal(code(frame), 'none');
    assert.equal(code(frame, false), 'unknown_type');
  }
  assert.equal(code(message, false), 'none');
  assert.equal(code({ type: 'connect', user_id: 'ann' }, false), 'none');
});

test('M2, S1: the messages of nobody, as an old database has them, can be marked as read', () => {
  assert.equal(code({ type: 'read', with: '', id: 1 }), 'none');
});

const bad: readonly (readonly [frame: unknown, code: string])[] = [
  ['', 'invalid_json'],
  ['{', 'invalid_json'],
  [`{"type":"message","to":${'['.repeat(20)}${']'.repeat(20)}}`, 'invalid_json'],
  ['[]', 'invalid_frame'],
  ['null', 'invalid_frame'],
  ['"ping"', 'invalid_frame'],
  [{}, 'invalid_frame'],
  [{ type: 5 }, 'invalid_frame'],
  [{ type: null }, 'invalid_frame'],
  [{ type: '' }, 'unknown_type'],
  [{ type: 'Message' }, 'unknown_type'],
  [{ type: '__proto__' }, 'unknown_type'],
  [{ type: 'constructor' }, 'unknown_type'],
  [{ ...message, to: undefined }, 'invalid_frame'],
  [{ ...message, to: '' }, 'invalid_frame'],
  [{ ...message, to: 5 }, 'invalid_frame'],
  [{ ...message, to: '\ud800' }, 'invalid_frame'],
  [{ ...message, to: 'x'.repeat(257) }, 'invalid_frame'],
  [{ ...message, message: undefined }, 'invalid_message'],
  [{ ...message, message: '' }, 'invalid_message'],
  [{ ...message, message: 5 }, 'invalid_message'],
  [{ ...message, message: null }, 'invalid_message'],
  [{ ...message, message: 'x'.repeat(8_001) }, 'invalid_message'],
  [{ ...message, message: 'hi \ud83d' }, 'invalid_message'],
  [{ type: 'connect' }, 'invalid_frame'],
  [{ type: 'connect', user_id: '' }, 'invalid_frame'],
  [{ type: 'connect', user_id: 'ann', since: -1 }, 'invalid_frame'],
  [{ type: 'connect', user_id: 'ann', since: 1.5 }, 'invalid_frame'],
  [{ type: 'connect', user_id: 'ann', since: '1' }, 'invalid_frame'],
  [{ type: 'connect', user_id: 'ann', epoch: 'x'.repeat(65) }, 'invalid_frame'],
  [{ type: 'read', with: 'bob' }, 'invalid_frame'],
  [{ type: 'read', with: 'bob', id: 2 ** 53 }, 'invalid_frame'],
  [{ type: 'watch', users: 'bob' }, 'invalid_frame'],
  [{ type: 'watch', users: Array.from({ length: 201 }, (_, i) => `u${i}`) }, 'invalid_frame'],
  [{ type: 'typing', to: ['bob'] }, 'invalid_frame'],
];
for (const [frame, expected] of bad) {
  const text = typeof frame === 'string' ? frame : JSON.stringify(frame);
  test(`M5: ${text.slice(0, 60) || 'nothing'} → ${expected}`, () => assert.equal(code(frame), expected));
}

test('M5: the error names the client_id where it is a readable one', () => {
  assert.deepEqual(refusal({ ...message, message: '' }), ['invalid_message', 'c1']);
  assert.deepEqual(refusal({ ...message, client_id: 'a b' }), ['invalid_frame', undefined]);
  assert.deepEqual(refusal({ ...message, client_id: 5, message: '' }), ['invalid_message', undefined]);
  assert.deepEqual(refusal({ type: 'message', client_id: 'c1' })[1], 'c1');
});

test('B2: whatever comes, the answer is a frame or a FrameError', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), fc.boolean(), (text, full) => void refusal(text, full)),
  );
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom('connect', 'message', 'read', 'watch', 'bob', 'hi'));
  fc.assert(
    fc.property(
      fc.record(
        { type: value, to: value, message: value, user_id: value, users: value },
        { requiredKeys: [] },
      ),
      (frame) => void refusal(frame),
    ),
  );
});

test('M5: what is wrong with a frame is told in words, which do not grow with it', () => {
  const words = (frame: unknown): string => {
    try {
      parseFrame(JSON.stringify(frame), true);
    } catch (error) {
      return (error as Error).message;
    }
    return 'nothing';
  };
  assert.match(words({ ...message, to: 5 }), /^'to': .*string/);
  assert.match(words({ type: 'connect', user_id: 'ann', since: -1 }), /^'since': /);
  assert.match(words({}), /^A frame needs a 'type'/);
  assert.match(words({ type: 'shout' }), /no frame type 'shout'/);
  assert.ok(words({ type: 'x'.repeat(60_000) }).length < 100);
});
