import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../../src/contract/limits.ts';
import { FrameBudget } from '../../src/gateway/ws/frame-budget.ts';

/** Bytes of a frame that counts as one, at most. */
const SMALL = 4096;
const spend = (budget: FrameBudget, now: number, count: number, bytes = SMALL): string[] =>
  Array.from({ length: count }, () => budget.spend(now, bytes));

test('L5 frames: 2,000 at once pass, the next is refused, who goes on is closed', () => {
  const budget = new FrameBudget(0);
  assert.deepEqual(new Set(spend(budget, 0, LIMITS.framesBurst)), new Set(['ok']));
  assert.deepEqual(new Set(spend(budget, 0, 100)), new Set(['over']));
  assert.equal(budget.spend(0, SMALL), 'exhausted');
});

test('L5 frames: 1,000 per second pass for ever', () => {
  const budget = new FrameBudget(0);
  for (let ms = 1; ms <= 10_000; ms++) assert.equal(budget.spend(ms, SMALL), 'ok');
});

test('L5 frames: who slows down is forgiven', () => {
  const budget = new FrameBudget(0);
  assert.equal(spend(budget, 0, LIMITS.framesBurst + 100).at(-1), 'over');
  assert.deepEqual(new Set(spend(budget, 1_000, 1_000)), new Set(['ok']));
  assert.deepEqual(new Set(spend(budget, 1_000, 100)), new Set(['over']));
  assert.equal(budget.spend(1_000, SMALL), 'exhausted');
});

for (const perMs of [2, 10, 50]) {
  test(`L5 frames: who goes on with ${perMs},000 a second is closed, although some of them pass`, () => {
    const budget = new FrameBudget(0);
    const closedAt = Array.from({ length: 5_000 }, (_, ms) => ms).find((ms) =>
      spend(budget, ms, perMs).includes('exhausted'),
    );
    assert.ok(closedAt !== undefined, 'not closed within 5 s');
  });
}

test('L5 frames: an idle socket saves up no more than the burst, and a clock that steps back gives nothing', () => {
  const budget = new FrameBudget(0);
  assert.equal(spend(budget, 3_600_000, LIMITS.framesBurst + 1).at(-1), 'over');
  assert.equal(budget.spend(0, SMALL), 'over');
});

test('L5 frames: a large one counts as one for each 4 KiB begun, an empty one as one', () => {
  for (const [bytes, count] of [
    [0, 1],
    [1, 1],
    [SMALL, 1],
    [SMALL + 1, 2],
    [LIMITS.frameBytes, 16],
  ] as const) {
    const budget = new FrameBudget(0);
    const pass = LIMITS.framesBurst / count;
    assert.deepEqual(new Set(spend(budget, 0, pass, bytes)), new Set(['ok']), `${bytes} bytes`);
    assert.notEqual(budget.spend(0, bytes), 'ok', `${bytes} bytes`);
  }
});

test('L5 frames: one over the budget is read for its client_id (M5) if that costs no more than a small one; who goes on is closed', () => {
  const budget = new FrameBudget(0);
  spend(budget, 0, LIMITS.framesBurst);
  assert.deepEqual([budget.spend(0, SMALL), budget.spend(0, SMALL + 1)], ['over', 'over-unread']);
  assert.deepEqual(new Set(spend(budget, 0, 98, LIMITS.frameBytes)), new Set(['over-unread']));
  assert.equal(budget.spend(0, LIMITS.frameBytes), 'exhausted');
});

test('L5 frames: never more pass than burst plus rate times time', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ after: fc.nat(50), count: fc.nat(400) }), { maxLength: 40 }),
      (bursts) => {
        const budget = new FrameBudget(0);
        let now = 0;
        let passed = 0;
        for (const { after, count } of bursts) {
          now += after;
          passed += spend(budget, now, count).filter((verdict) => verdict === 'ok').length;
          assert.ok(passed <= LIMITS.framesBurst + (now * LIMITS.framesPerSecond) / 1000);
        }
      },
    ),
  );
});
