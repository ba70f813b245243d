import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Beat } from '../../src/core/events.ts';
import { BeatMonitor, SILENCE_MS } from '../../src/gateway/beat-monitor.ts';
import { ManualClock } from '../support/manual-clock.ts';

const beat = (seq: number, more: Partial<Beat> = {}): Beat => ({
  term: 't',
  seq,
  epoch: 'e',
  writer: { ok: true },
  heads: [],
  revoked: [],
  ...more,
});
const calm = { resync: false, epochChanged: false };

test('G5 beats: the first one means a look into the store; those that follow in order mean nothing is missing', () => {
  const monitor = new BeatMonitor(new ManualClock());
  assert.deepEqual(monitor.hear(beat(7)), { resync: true, epochChanged: false });
  assert.deepEqual(monitor.hear(beat(8)), calm);
  assert.deepEqual(monitor.hear(beat(9)), calm);
});

for (const [what, next] of [
  ['a beat is missing', beat(9)],
  ['a beat comes twice', beat(7)],
  ['a new term begins', beat(8, { term: 'u' })],
  ['a new term begins with its first beat', beat(1, { term: 'u' })],
] as const) {
  test(`G5 beats: ${what}: look into the store for everybody, once`, () => {
    const monitor = new BeatMonitor(new ManualClock());
    monitor.hear(beat(7));
    assert.deepEqual(monitor.hear(next), { resync: true, epochChanged: false });
    assert.deepEqual(monitor.hear({ ...next, seq: next.seq + 1 }), calm);
  });
}

test('R4 beats: another epoch is told once', () => {
  const monitor = new BeatMonitor(new ManualClock());
  assert.equal(monitor.hear(beat(1)).epochChanged, false);
  assert.equal(monitor.hear(beat(1, { term: 'u', epoch: 'f' })).epochChanged, true);
  assert.equal(monitor.hear(beat(2, { term: 'u', epoch: 'f' })).epochChanged, false);
});

test('G10 beats: trouble before the first, in silence, and while the writer says it can not commit', () => {
  const clock = new ManualClock();
  const monitor = new BeatMonitor(clock);
  assert.match(monitor.trouble ?? '', /not been heard yet/);
  monitor.hear(beat(1));
  clock.advance(SILENCE_MS);
  assert.equal(monitor.trouble, undefined);
  clock.advance(1);
  assert.match(monitor.trouble ?? '', /not been heard for 3 s/);
  monitor.hear(beat(2, { writer: { ok: false, reason: 'the disk is full' } }));
  assert.match(monitor.trouble ?? '', /can't commit: the disk is full/);
  monitor.hear(beat(3));
  assert.equal(monitor.trouble, undefined);
});

test('G10 beats: a clock that is set, forward or back, is no silence, and hides none', () => {
  const clock = new ManualClock();
  const monitor = new BeatMonitor(clock);
  monitor.hear(beat(1));
  clock.step(3_600_000);
  assert.equal(monitor.trouble, undefined);
  clock.step(-7_200_000);
  clock.advance(SILENCE_MS + 1);
  assert.match(String(monitor.trouble), /has not been heard for 3 s/);
});
