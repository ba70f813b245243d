import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { backoffMs } from '../../src/client/backoff.ts';

const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test('back-off: a delay is a whole number in [0, min(cap, base · 2^attempt))', () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.integer({ min: 1, max: 10_000 }),
      fc.integer({ min: 1, max: 100_000 }),
      unit,
      (n, baseMs, capMs, r) => {
        const ms = backoffMs(n, () => r, { baseMs, capMs });
        assert.ok(Number.isInteger(ms));
        assert.ok(ms >= 0 && ms < Math.min(capMs, baseMs * 2 ** n));
      },
    ),
  );
});

test('back-off: the jitter is full, and the ceiling doubles up to the cap', () => {
  const almostOne = () => 1 - Number.EPSILON;
  assert.equal(
    backoffMs(5, () => 0),
    0,
  );
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6, 1_000].map((n) => backoffMs(n, almostOne)),
    [999, 1_999, 3_999, 7_999, 15_999, 29_999, 29_999, 29_999],
  );
});
