import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { uuidv7Generator } from '../../src/contract/uuidv7.ts';

const FORM = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test('UUIDv7: version, variant and time are in their places', () => {
  const now = Date.UTC(2026, 0, 31, 12);
  const id = uuidv7Generator({ now: () => now, randomBytes: (n) => new Uint8Array(n).fill(0xff) })();
  assert.match(id, FORM);
  assert.equal(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16), now);
  assert.match(uuidv7Generator()(), FORM);
});

test('UUIDv7: ids ascend, whatever the clock does', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: -5_000, max: 5_000 }), fc.integer({ min: 1, max: 3_000 })), {
        maxLength: 8,
      }),
      fc.nat(255),
      (steps, byte) => {
        let now = Date.UTC(2026, 0, 31);
        const make = uuidv7Generator({ now: () => now, randomBytes: (n) => new Uint8Array(n).fill(byte) });
        let last = '';
        for (const [step, count] of steps) {
          now += step;
          for (let i = 0; i < count; i++) {
            const id = make();
            assert.match(id, FORM);
            assert.ok(id > last, `${id} after ${last}`);
            last = id;
          }
        }
      },
    ),
    { numRuns: 30 },
  );
});
