import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LogEntry } from '../../src/core/bus.ts';
import { groupEntries } from '../../src/writer/group-commit.ts';
import { batch, register, send } from '../support/ledger.ts';

const entry = (number: number, size: number): LogEntry => ({
  position: String(number),
  payload: JSON.stringify(
    batch(
      Array.from({ length: size }, (_, i) => register(`u${number}-${i}`)),
      number,
    ),
  ),
});
const fail = (): never => assert.fail('nothing here is unreadable');

test('group commit: nothing read, nothing to commit', () => {
  assert.deepEqual(groupEntries([], fail), []);
});

test('group commit: what came in together goes into one transaction, with the position of its last entry', () => {
  const groups = groupEntries([entry(1, 3), entry(2, 4)], fail);
  assert.equal(groups.length, 1);
  assert.equal(groups[0]?.position, '2');
  assert.deepEqual(
    groups[0]?.batches.map(({ seq }) => seq),
    [1, 2],
  );
});

test('group commit: every entry is in one group, in order, none is split, and a group is as full as the bound lets it, over it only if one entry is', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(12), { maxLength: 40 }), fc.integer({ min: 1, max: 20 }), (sizes, max) => {
      const groups = groupEntries(
        sizes.map((size, i) => entry(i + 1, size)),
        fail,
        max,
      );
      assert.deepEqual(
        groups.flatMap(({ batches }) => batches.map(({ seq, commands }) => [seq, commands.length])),
        sizes.map((size, i) => [i + 1, size]),
      );
      for (const [i, { batches, position }] of groups.entries()) {
        assert.equal(position, String(batches.at(-1)?.seq));
        const commands = batches.reduce((sum, one) => sum + one.commands.length, 0);
        assert.ok(commands <= max || batches.filter((one) => one.commands.length > 0).length === 1);
        const next = groups[i + 1]?.batches[0]?.commands.length ?? max + 1;
        assert.ok(commands + next > max, 'what there was room for is in');
      }
    }),
  );
});

test('G6 group commit: long texts make a transaction of their own sooner, so that it takes no longer', () => {
  const long = (number: number): LogEntry => ({
    position: String(number),
    payload: JSON.stringify(batch(Array(33).fill(send('a', 'b', 'x'.repeat(8_000), 'id')), number)),
  });
  const groups = groupEntries([1, 2, 3, 4, 5].map(long), fail);
  assert.deepEqual(
    groups.map(({ position }) => position),
    ['3', '5'],
  );
});

for (const payload of [
  '',
  'no JSON',
  '"text"',
  '5',
  'null',
  '{}',
  '[]',
  '{"commands":5}',
  '{"commands":null}',
  '{"gateway":"g","seq":1,"commands":[]}',
  '{"gateway":"g","seq":1,"at":1}',
  '{"gateway":"g","seq":1,"at":1,"commands":{}}',
  '{"gateway":"g","seq":1,"at":"now","commands":[]}',
  '{"gateway":"g","seq":1,"at":-1e999,"commands":[]}',
]) {
  test(`group commit: an entry that is no batch is passed over, its position kept (${payload || 'empty'})`, () => {
    const unreadable: string[] = [];
    const groups = groupEntries(
      [entry(1, 1), { position: '2', payload }, entry(3, 1), { position: '4', payload }],
      ({ position }) => unreadable.push(position),
    );
    assert.deepEqual(unreadable, ['2', '4']);
    assert.deepEqual(
      groups.map(({ batches, position }) => [batches.map(({ seq }) => seq), position]),
      [[[1, 3], '4']],
    );
  });
}
