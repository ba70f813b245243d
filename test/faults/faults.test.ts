import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { it } from 'node:test';
import { putToTheTest } from './plant.ts';

/*
 * G1–G8, G10: every promise is kept under whatever faults the seed brings. PARLEY_FAULT_SEED repeats a run's choices.
 */

const ROOT = resolve(import.meta.dirname, '../..');
const SEED = process.env['PARLEY_FAULT_SEED'] ?? String(Math.floor(Math.random() * 1_000_000));

const RUNS = [
  { name: 'two nodes and Redis', args: '--minutes 1.2 --messages 7200' },
  { name: 'embedded', args: '--minutes 0.7 --messages 4400 --embedded' },
] as const;

for (const { name, args } of RUNS) {
  it(`every promise is kept under random faults: ${name}, seed ${SEED}`, async (t) => {
    const directory = resolve('artifacts/faults', name.replaceAll(' ', '-'));
    const { exitCode, output } = await putToTheTest(ROOT, directory, [...args.split(' '), '--seed', SEED]);
    t.diagnostic(`report: ${directory}/report.html`);
    assert.equal(exitCode, 0, `PARLEY_FAULT_SEED=${SEED}; report in ${directory}\n${output}`);
  });
}
