import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { LoadGenerator } from './generator.ts';
import { HISTORY_SIZES, measureHistory } from './history.ts';
import { type Options, readOptions, type ScenarioName, USAGE } from './options.ts';
import { picture } from './picture.ts';
import { temporaryDirectory } from './processes.ts';
import { type Sample, summarize } from './sample.ts';
import { MEASURES, type Measurement, type Scenario } from './scenarios.ts';
import { short } from './short.ts';
import { LABELS, PARLEY, type System, start } from './systems.ts';
import { table } from './table.ts';
import { targets } from './targets.ts';

/*
 * The runner. Each measurement gets a freshly started server and a freshly started load generator; systems take turns
 * within a run, in the opposite order in every other run, so that a noisy minute hits all of them.
 */

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url));
const say = (line: string): void => console.error(line);

async function main(): Promise<number> {
  let options: Options;
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    say(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  const machine = describeMachine();
  console.log(`${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}`);
  if (options.short) return short(options, measureOne, say);

  const samples: Sample[] = [];
  const failures: string[] = [];
  const report = () => ({
    date: new Date().toISOString(),
    machine,
    options,
    targets: targets(samples),
    failures,
    summaries: summarize(samples),
    samples,
  });
  mkdirSync(ARTIFACTS, { recursive: true });
  for (const name of options.scenarios) {
    for (const attempt of attempts(name, options)) {
      say(attempt.title);
      try {
        const measurements = await attempt.measure();
        for (const measurement of measurements) samples.push({ ...measurement, ...attempt.of });
      } catch (error) {
        // One system's failure is a finding; the others are measured all the same.
        failures.push(`${attempt.title}: ${(error as Error).message}`);
        say(`  failed: ${(error as Error).message}`);
      }
      // All of it takes an hour: what was measured stays if that is cut short.
      writeFileSync(`${ARTIFACTS}bench.json`, `${JSON.stringify(report(), null, 2)}\n`);
    }
  }

  const { summaries, targets: reached } = report();
  console.log(table(summaries, reached, failures));
  const drawing = picture(summaries);
  if (drawing !== undefined) writeFileSync(`${ARTIFACTS}bench.svg`, drawing);
  console.log(`\nartifacts/bench.json${drawing === undefined ? '' : ', artifacts/bench.svg'}`);
  return failures.length === 0 ? 0 : 1;
}

type Attempt = {
  readonly title: string;
  readonly of: { readonly system: System; readonly run: number };
  measure(): Promise<readonly Measurement[]>;
};

function attempts(name: ScenarioName, options: Options): Attempt[] {
  if (name === 'history') {
    const originals = options.historyDirectory ?? temporaryDirectory();
    const all = HISTORY_SIZES.flatMap((messages) =>
      PARLEY.filter((system) => options.systems.includes(system)).map((system) => ({ messages, system })),
    );
    return runsOf(options.largeRuns, all, ({ messages, system }, run) => ({
      title: `history, ${messages.toLocaleString('en')} messages, run ${run}: ${LABELS[system]}`,
      of: { system, run },
      measure: async () => [await measureHistory(messages, system, originals, say)],
    }));
  }
  const scenario = MEASURES[name];
  const systems = scenario.systems.filter((system) => options.systems.includes(system));
  const runs = scenario.large ? options.largeRuns : options.runs;
  return runsOf(runs, systems, (system, run) => ({
    title: `${name}, run ${run} of ${runs}: ${LABELS[system]}`,
    of: { system, run },
    measure: () => measureOne(system, scenario, options.measureMs),
  }));
}

function runsOf<T>(runs: number, all: readonly T[], attempt: (one: T, run: number) => Attempt): Attempt[] {
  return Array.from({ length: runs }, (_, at) => at + 1).flatMap((run) =>
    (run % 2 === 1 ? all : all.toReversed()).map((one) => attempt(one, run)),
  );
}

async function measureOne(
  system: System,
  scenario: Pick<Scenario, 'users' | 'gateways' | 'measure'>,
  measureMs: number,
): Promise<Measurement[]> {
  const server = await start(system, scenario.users, scenario.gateways);
  const load = new LoadGenerator();
  try {
    await load.order('aim', { port: server.port, protocol: server.protocol, roots: server.roots });
    const measurements = await scenario.measure({ server, load, measureMs });
    await load.order('end', {});
    return measurements;
  } finally {
    await load.stop();
    await server.stop();
  }
}

function describeMachine() {
  const cpu = cpus()[0]?.model ?? 'unknown processor';
  return { cpu, cores: availableParallelism(), kernel: release(), node: process.version };
}

process.exit(await main());
