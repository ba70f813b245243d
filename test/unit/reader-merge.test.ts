import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { mergeSorted } from '../../src/reader/merge.ts';

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
        const sources = lists.map((list) => {
          const sorted = list.toSorted(order);
          return (after: number, count: number) => sorted.filter((id) => beyond(id, after)).slice(0, count);
        });
        assert.deepEqual(
          [...mergeSorted(sources, (id) => id, direction, start)],
          lists
            .flat()
            .filter((id) => beyond(id, start))
            .sort(order),
        );
      }),
    );
  });
}

test('merge: rows that are not taken are not read', () => {
  let read = 0;
  const endless = (after: number, count: number): number[] => {
    read += count;
    return Array.from({ length: count }, (_, i) => after + 1 + i);
  };
  const merged = mergeSorted([endless], (id) => id, 1, 0);
  for (let i = 1; i <= 10; i++) assert.equal(merged.next().value, i);
  assert.ok(read <= 16, `${read} rows were read for 10`);
});
