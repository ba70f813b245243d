import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  beginningOf,
  clockTime,
  dayLabel,
  dayOf,
  languageOf,
  listTime,
  nameOf,
  plural,
} from '../../src/web/model/format.ts';

describe('times in words', () => {
  const now = new Date(2026, 5, 17, 12).getTime();
  /** Noon, so many days before. */
  const ago = (days: number): number => new Date(2026, 5, 17 - days, 12).getTime();
  /** Without the order of day and month, which is the reader's. */
  const parts = (text: string): string[] => text.split(/[\s,]+/).toSorted();

  test('the line between two days: today, yesterday, a weekday within a week, then a date', () => {
    assert.deepEqual(
      [0, 1, 2, 6].map((days) => dayLabel(ago(days), now)),
      ['Today', 'Yesterday', 'Monday', 'Thursday'],
    );
    assert.deepEqual(parts(dayLabel(ago(7), now)), ['10', 'June', 'Wednesday']);
    assert.deepEqual(parts(dayLabel(ago(-1), now)), ['18', 'June', 'Thursday']);
    assert.deepEqual(parts(dayLabel(new Date(2025, 11, 31, 12).getTime(), now)), ['2025', '31', 'December']);
  });

  test('a day ends at midnight, not after 24 hours', () => {
    assert.equal(dayLabel(new Date(2026, 5, 16, 23, 59).getTime(), now), 'Yesterday');
    assert.equal(dayLabel(new Date(2026, 5, 17).getTime(), now), 'Today');
  });

  test('a day is the same, whatever day was asked for before', () => {
    // Over both changes of the clock, in the zones that have them; and every day's first and last millisecond.
    for (let day = 0; day < 400; day++) {
      const midnight = new Date(2026, 0, 1 + day).getTime();
      const number = Date.UTC(2026, 0, 1 + day) / 86_400_000;
      const hours = Array.from({ length: 22 }, (_, hour) => dayOf(midnight + hour * 3_600_000));
      assert.deepEqual([...new Set(hours)], [number]);
      assert.equal(dayOf(midnight - 1), number - 1);
    }
  });

  test('the list: the time today, and of a clock that is ahead; then as short as can be', () => {
    assert.equal(listTime(ago(0), now), clockTime(ago(0)));
    assert.equal(listTime(ago(-1), now), clockTime(ago(-1)));
    assert.equal(listTime(ago(1), now), 'Yesterday');
    assert.equal(listTime(ago(6), now), 'Thursday');
    assert.match(listTime(ago(7), now), /^(?=.*10)(?=.*06)(?=.*26)/);
  });

  test('one message, and none of them or two', () => {
    assert.deepEqual(
      [0, 1, 2].map((count) => plural(count, 'message')),
      ['0 messages', '1 message', '2 messages'],
    );
  });
});

test('of a long text the beginning is shown, and no half of a character', () => {
  assert.equal(beginningOf('short', 200), 'short');
  assert.equal(beginningOf('x'.repeat(200), 200), 'x'.repeat(200));
  assert.equal(beginningOf('x'.repeat(3_000_000), 200), `${'x'.repeat(199)}…`);
  assert.equal(beginningOf('😀'.repeat(200), 200), `${'😀'.repeat(99)}…`);
});

test('a browser that names no language, or one that is none, gets English dates instead of no app', () => {
  assert.deepEqual(['de-CH', 'en-US', 'en-US@posix', 'C', ''].map(languageOf), [
    'de-CH',
    'en-US',
    'en-GB',
    'en-GB',
    'en-GB',
  ]);
});

test('nobody, with whom an old database may have a conversation, is not called nothing', () => {
  assert.deepEqual(['', 'bob'].map(nameOf), ['(no\u00a0name)', 'bob']);
});
