import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { it } from 'node:test';
import { putToTheTest } from './plant.ts';

/*
 * G1–G8, G10: the same promises where Redis is several servers, which fail, and fail over. PARLEY_FAULT_SEED repeats a
 * run's choices.
 */

const ROOT = resolve(import.meta.dirname, '../..');
const SEED = process.env['PARLEY_FAULT_SEED'] ?? String(Math.floor(Math.random() * 1_000_000));

for (const form of ['cluster', 'sentinel']) {
  it(`every promise is kept under random faults: Redis as ${form}, seed ${SEED}`, async (t) => {
    const directory = resolve('artifacts/faults', `redis-${form}`);
    const args = ['--minutes', '0.7', '--messages', '4000', '--redis', form, '--seed', SEED];
    const { exitCode, output } = await putToTheTest(ROOT, directory, args);
    t.diagnostic(`report: ${directory}/report.html`);
    assert.equal(exitCode, 0, `PARLEY_FAULT_SEED=${SEED}; report in ${directory}\n${output}`);
  });
}
