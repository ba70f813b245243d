import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Semaphore } from '../../src/base/semaphore.ts';
import { settle } from '../support/scripted-bus.ts';

test('semaphore: never more at once than allowed, all of them done, in order, whether they fail or not', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.record({ turns: fc.nat(3), fails: fc.boolean() }), { maxLength: 20 }),
      async (atOnce, tasks) => {
        const turns = new Semaphore(atOnce);
        const started: number[] = [];
        let running = 0;
        const results = await Promise.allSettled(
          tasks.map((task, i) =>
            turns.run(async () => {
              started.push(i);
              assert.ok(++running <= atOnce);
              for (let turn = 0; turn < task.turns; turn++) await null;
              running--;
              if (task.fails) throw new Error('on purpose');
              return i;
            }),
          ),
        );
        assert.deepEqual(started, [...tasks.keys()]);
        assert.deepEqual(
          results.map(({ status }) => status === 'rejected'),
          tasks.map(({ fails }) => fails),
        );
        assert.equal(turns.waiting, 0);
      },
    ),
    { numRuns: 50 },
  );
});

test('semaphore: counts those in line, not those at work', async () => {
  const turns = new Semaphore(2);
  const gate = Promise.withResolvers<void>();
  const all = Promise.all([1, 2, 3, 4, 5].map(() => turns.run(() => gate.promise)));
  await settle();
  assert.equal(turns.waiting, 3);
  gate.resolve();
  await all;
  assert.equal(turns.waiting, 0);
});
