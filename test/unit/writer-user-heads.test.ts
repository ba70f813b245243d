import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { UserHeads } from '../../src/writer/user-heads.ts';

test('G5 hint: an event names the id before it, or the base for a user who is not remembered', () => {
  const heads = new UserHeads(100);
  assert.equal(heads.advance('a', 101), 100);
  assert.equal(heads.advance('b', 102), 100);
  assert.equal(heads.advance('a', 103), 101);
  assert.equal(heads.advance('b', 104), 102);
});

test('G6 hint: with as many users as may be remembered, those are not forgotten; one more, and all are but those of the newest message', () => {
  const heads = new UserHeads(0, 2);
  heads.advance('a', 1);
  heads.advance('b', 2);
  assert.deepEqual([heads.advance('a', 3), heads.advance('b', 4)], [1, 2]);
  assert.equal(heads.advance('c', 5), 0);
  assert.equal(heads.advance('c', 6), 5);
  assert.deepEqual([heads.advance('a', 7), heads.advance('b', 8)], [4, 4], 'the base, which has risen');
});

test('G5 hint: changed users are told once, with their newest id', () => {
  const heads = new UserHeads(0);
  heads.advance('a', 1);
  heads.advance('b', 2);
  heads.advance('a', 3);
  assert.equal(heads.changedCount, 2);
  assert.deepEqual(heads.takeChanged(), [
    ['a', 3],
    ['b', 2],
  ]);
  assert.equal(heads.changedCount, 0);
  assert.deepEqual(heads.takeChanged(), []);
});

test("G5 hint: what an event names is never below the user's last message, nor as high as the new one, however much is forgotten", () => {
  const users = ['a', 'b', 'c', 'd', 'e'];
  const message = fc.record({ from: fc.constantFrom(...users), to: fc.constantFrom(...users) });
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 60 }),
      fc.integer({ min: 1, max: 4 }),
      fc.nat(50),
      (messages, max, base) => {
        const heads = new UserHeads(base, max);
        const last = new Map<string, number>();
        messages.forEach(({ from, to }, i) => {
          const id = base + i + 1;
          for (const user of new Set([from, to])) {
            const prev = heads.advance(user, id);
            assert.ok(prev >= (last.get(user) ?? 0), `${user}: ${prev} skips ${last.get(user)}`);
            assert.ok(prev < id);
            last.set(user, id);
          }
        });
      },
    ),
  );
});
