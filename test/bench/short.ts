import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Options } from './options.ts';
import { median, ratioBetween, type Sample } from './sample.ts';
import { MEASURES, type Measurement, type Scenario, saturate } from './scenarios.ts';
import type { System } from './systems.ts';

/*
 * The watch over what a message costs: Parley's server CPU per message over the floor's, medians of runs that take turns,
 * beside the figure kept in the repository. A ratio of CPU times hardly depends on the machine or on what else runs there;
 * even so, only a doubling fails.
 */

const BASELINE = fileURLToPath(new URL('baseline.json', import.meta.url));
const WATCHED: System = 'parley';
const FAILS_ABOVE = 2;

type Baseline = { readonly cpuToFloor: number; readonly date: string };
type MeasureOne = (
  system: System,
  scenario: Pick<Scenario, 'users' | 'measure'>,
  measureMs: number,
) => Promise<Measurement[]>;

/** Returns the exit code. */
export async function short(
  options: Options,
  measureOne: MeasureOne,
  say: (line: string) => void,
): Promise<number> {
  const scenario: Pick<Scenario, 'users' | 'measure'> = {
    users: MEASURES.saturation.users,
    measure: async (bench) => [await saturate(bench)],
  };
  const samples: Sample[] = [];
  for (let run = 1; run <= options.runs; run += 1) {
    const order: readonly System[] = run % 2 === 1 ? ['floor', WATCHED] : [WATCHED, 'floor'];
    for (const system of order) {
      for (const measurement of await measureOne(system, scenario, options.measureMs)) {
        samples.push({ ...measurement, system, run });
        const { perSecond, cpuUsPerMessage } = measurement.figures;
        say(
          `run ${run} ${system}: ${cpuUsPerMessage!.toFixed(1)} µs CPU per message, ${perSecond!.toFixed(0)} messages/s`,
        );
      }
    }
  }
  const cost = (system: System): number =>
    median(
      samples.filter((sample) => sample.system === system).map((sample) => sample.figures.cpuUsPerMessage!),
    );
  const cpuToFloor = ratioBetween(samples, samples[0]!.scenario, 'cpuUsPerMessage', WATCHED, 'floor');
  console.log(`server CPU per message, median of ${options.runs}:`);
  console.log(`  the floor   ${cost('floor').toFixed(1).padStart(7)} µs`);
  console.log(`  Parley      ${cost(WATCHED).toFixed(1).padStart(7)} µs`);
  console.log(`  ratio       ${cpuToFloor.toFixed(2).padStart(7)}`);
  if (options.keep) {
    const baseline: Baseline = {
      cpuToFloor: Number(cpuToFloor.toFixed(2)),
      date: new Date().toISOString().slice(0, 10),
    };
    writeFileSync(BASELINE, `${JSON.stringify(baseline, null, 2)}\n`);
    console.log('  kept in test/bench/baseline.json');
    return 0;
  }
  if (!existsSync(BASELINE)) {
    console.log('  no figure is kept yet: --keep keeps this one');
    return 0;
  }
  const kept = JSON.parse(readFileSync(BASELINE, 'utf8')) as Baseline;
  const change = cpuToFloor / kept.cpuToFloor;
  console.log(
    `  kept        ${kept.cpuToFloor.toFixed(2).padStart(7)} (${kept.date}); now × ${change.toFixed(2)}`,
  );
  if (change <= FAILS_ABOVE) return 0;
  console.log(`  a message costs more than ${FAILS_ABOVE} times what it did`);
  return 1;
}
