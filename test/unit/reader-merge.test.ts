import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Head, mergeSorted } from '../../src/reader/merge.ts';

/** Distinct ids, dealt out to sources; some have more than one chunk. */
const dealt = fc
  .tuple(
    fc.uniqueArray(fc.integer({ min: 1, max: 2_000 }), { maxLength: 600 }),
    fc.integer({ min: 1, max: 6 }),
  )
  .chain(([ids, sources]) =>
    fc
      .array(fc.nat(sources - 1), { minLength: ids.length, maxLength: ids.length })
      .map((places) =>
        Array.from({ length: sources }, (_, source) => ids.filter((_, i) => places[i] === source)),
      ),
  );

for (const direction of [1, -1] as const) {
  test(`merge: ${direction === 1 ? 'ascending' : 'descending'} sources become one sorted sequence, each id once, none left out`, () => {
    fc.assert(
      fc.property(dealt, fc.integer({ min: 0, max: 2_001 }), (lists, start) => {
        const order = (a: number, b: number): number => (a - b) * direction;
        const beyond = (id: number, bound: number): boolean => order(id, bound) > 0;
        const sorted = lists.map((list) => list.toSorted(order));
        const read = (list: number, after: number, most: number): number[] =>
          (sorted[list] ?? []).filter((id) => beyond(id, after)).slice(0, most);
        const heads = sorted
          .flatMap((_, list) => read(list, start, 1).map((first): Head => [list, first]))
          .sort(([, a], [, b]) => order(a, b));
        assert.deepEqual(
          [...mergeSorted(heads, read, direction)],
          lists
            .flat()
            .filter((id) => beyond(id, start))
            .sort(order),
        );
      }),
    );
  });
}

test('merge: ids that are not taken are not read, and no list before its first id was taken', () => {
  const read: number[] = [];
  const endless = (list: number, after: number, most: number): number[] => {
    read[list] = (read[list] ?? 0) + most;
    return Array.from({ length: most }, (_, i) => after + 1 + i);
  };
  const heads: Head[] = [
    [0, 1],
    [1, 1_000],
  ];
  const merged = mergeSorted(heads, endless, 1);
  for (let i = 1; i <= 10; i++) assert.equal(merged.next().value, i);
  assert.ok((read[0] ?? 0) <= 16, `${read[0]} ids were read for 10`);
  assert.equal(read[1], undefined);
  for (let i = 11; i < 1_000; i++) assert.equal(merged.next().value, i);
  assert.ok((read[0] ?? 0) <= 999 + 256, `${read[0]} ids were read for 999`);
});

test('merge: a list that gave less than it was asked for is not read again', () => {
  const asked: number[] = [];
  const read = (_: number, after: number, most: number): number[] => {
    asked.push(most);
    return [after + 1, after + 2].slice(0, most);
  };
  assert.deepEqual([...mergeSorted([[0, 1]], read, 1)], [1, 2, 3]);
  assert.equal(asked.length, 1);
});
