import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { clientId, messageId, messageText, newUserId, userId } from '../../src/contract/values.ts';

const accepted: readonly (readonly [why: string, id: string])[] = [
  ['one character', 'a'],
  ['64 characters', 'a'.repeat(64)],
  ['64 characters outside the basic plane', '😀'.repeat(64)],
  ['an emoji', 'ann😀'],
  ['accents, composed', 'Zoë'],
  ['Chinese', '小明'],
  ['Arabic', 'سارة'],
  ['Hindi, with combining signs', 'कृष्ण'],
  ['Korean', '김철수'],
  ['a space within', 'Ann Lee'],
  ['punctuation', `o'brien@example.org "x" <b> & \\ /`],
  ['a name objects have', 'constructor'],
  ['a number', '0'],
];
const refused: readonly (readonly [why: string, id: string])[] = [
  ['empty', ''],
  ['65 characters', 'a'.repeat(65)],
  ['65 characters outside the basic plane', '😀'.repeat(65)],
  ['a space at the start', ' ann'],
  ['a space at the end', 'ann '],
  ['a no-break space at the end', 'ann\u00a0'],
  ['only a space', ' '],
  ['a line feed', 'an\nn'],
  ['a NUL', 'ann\0'],
  ['a delete', 'ann\x7f'],
  ['a C1 control', 'ann\x85'],
  ['decomposed accents (NFD)', 'Zoe\u0308'],
  ['a ligature of compatibility, decomposed canonically', '\u212b'],
  ['right-to-left override', 'ann\u202e'],
  ['left-to-right isolate', '\u2066ann'],
  ['left-to-right mark', 'ann\u200e'],
  ['zero-width space', 'an\u200bn'],
  ['zero-width joiner', 'an\u200dn'],
  ['an emoji joined by zero-width joiners', '👩\u200d🚀'],
  ['a variation selector', 'ann\ufe0f'],
  ['a variation selector of the supplement', 'ann\u{e0100}'],
  ['a Mongolian variation selector', 'ann\u180b'],
  ['an inherent Khmer vowel, which has no shape', 'ann\u17b4'],
  ['a tag character', 'ann\u{e0041}'],
  ['word joiner', 'ann\u2060'],
  ['byte order mark', '\ufeffann'],
  ['soft hyphen', 'an\u00adn'],
  ['combining grapheme joiner', 'an\u034fn'],
  ['Hangul filler', 'ann\u3164'],
  ['Braille blank', 'ann\u2800'],
  ['the Khitan filler', 'ann\u{16fe4}'],
  ['a blank Egyptian hieroglyph', 'ann\u{13441}'],
  ['half a blank Egyptian hieroglyph', 'ann\u{13442}'],
  ['a note without a head', 'ann\u{1d159}'],
  ['line separator', 'an\u2028n'],
  ['a lone surrogate', 'ann\ud800'],
  ['a lone low surrogate', '\udc00ann'],
  ['a private character', 'ann\ue000'],
  ['a noncharacter', 'ann\uffff'],
  ['an unassigned character', 'ann\u0378'],
  ['__proto__', '__proto__'],
];

for (const [why, id] of accepted) {
  test(`L3: a new user_id may be ${why}`, () => assert.ok(newUserId.safeParse(id).success));
}
for (const [why, id] of refused) {
  test(`L3: a new user_id may not have or be ${why}`, () => assert.ok(!newUserId.safeParse(id).success));
}

test('L3: a new id has no look-alike made by invisible characters', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0x10ffff }), (code) => {
      const character = String.fromCodePoint(code);
      if (/\p{Default_Ignorable_Code_Point}|[\p{C}\p{Zl}\p{Zp}]/u.test(character))
        assert.ok(!newUserId.safeParse(`ann${character}bob`).success, code.toString(16));
    }),
    { numRuns: 20_000 },
  );
});

test('ids that are looked up may be older than rule L3, but are well-formed and bounded', () => {
  for (const id of ['a', ' ann ', 'x'.repeat(256), '__proto__', 'an\nn'])
    assert.ok(userId.safeParse(id).success);
  for (const id of ['', 'x'.repeat(257), 'ann\ud800', 5, null, {}, ['ann']])
    assert.ok(!userId.safeParse(id).success);
});

test('L2: a text has 1 to 8,000 UTF-16 units and is well-formed', () => {
  for (const text of ['a', ' ', '\0', 'x'.repeat(8_000), '😀'.repeat(4_000)])
    assert.ok(messageText.safeParse(text).success);
  for (const text of ['', 'x'.repeat(8_001), '😀'.repeat(4_001), '\ud83d', '\ude00\ud83d', 5, null])
    assert.ok(!messageText.safeParse(text).success);
});

test('L8: a client_id has 1 to 64 visible ASCII characters', () => {
  for (const id of ['!', '~', 'x'.repeat(64)]) assert.ok(clientId.safeParse(id).success);
  for (const id of ['', ' ', 'a b', 'é', 'a\n', '\n', 'x'.repeat(65), '\x7f', 5])
    assert.ok(!clientId.safeParse(id).success, String(id));
});

test('M2: an id is a whole number from 0 to 2^53 - 1', () => {
  for (const id of [0, 1, Number.MAX_SAFE_INTEGER]) assert.ok(messageId.safeParse(id).success);
  for (const id of [-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, '1', null])
    assert.ok(!messageId.safeParse(id).success);
});
