import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { it } from 'node:test';
import { ROOT } from '../support/root.ts';
import { putToTheTest } from './plant.ts';

/** What all of a run's random choices are made from; PARLEY_FAULT_SEED repeats a run's. */
export const SEED = process.env['PARLEY_FAULT_SEED'] ?? String(Math.floor(Math.random() * 1_000_000));

/** A test that lets the fault checker loose (`npm run faults` with `args`), and wants no violation. */
export function keepsPromises(name: string, ...args: readonly string[]): void {
  it(`every promise is kept under random faults: ${name}, seed ${SEED}`, async (t) => {
    const directory = resolve('artifacts/faults', name.replaceAll(' ', '-'));
    const { exitCode, output } = await putToTheTest(ROOT, directory, [...args, '--seed', SEED]);
    t.diagnostic(`report: ${directory}/report.html`);
    assert.equal(exitCode, 0, `PARLEY_FAULT_SEED=${SEED}; report in ${directory}\n${output}`);
  });
}
