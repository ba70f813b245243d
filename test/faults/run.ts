import { createWriteStream, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { check, type StoredMessage } from './checker.ts';
import { Cluster } from './cluster.ts';
import { DatabaseView } from './database.ts';
import type { Need } from './fault-kind.ts';
import { FAULT_KINDS } from './fault-kinds.ts';
import { History } from './history.ts';
import { Load } from './load.ts';
import { commandOf, type Options, parseOptions, USAGE } from './options.ts';
import { createRandom } from './random.ts';
import { measureRecovery, summarise } from './recovery.ts';
import { printable, type Report, writeReport } from './report.ts';
import { Runner } from './runner.ts';
import { applicable, expectedMs } from './schedule.ts';
import { byCode, timeline } from './timeline.ts';
import { untruths } from './truthful.ts';
import { Volume } from './volume.ts';

/*
 * npm run faults: exit code 0 when every promise was kept, 1 when one was broken, 2 when the run itself failed.
 */

async function main(options: Options): Promise<boolean> {
  const mode = options.embedded
    ? 'embedded'
    : options.redis === 'single'
      ? 'redis'
      : `redis-${options.redis}`;
  const directory = resolve(options.report ?? join('artifacts', 'faults', `${mode}-${options.seed}`));
  const command = commandOf(options);
  const say = (line: string): void => console.log(line);
  const have = new Set<Need>();
  if (!options.embedded) have.add('redis');
  if (!options.embedded && options.redis !== 'single') have.add('redis-replicas');
  if (Volume.available) have.add('small-disk');
  const kinds = applicable(FAULT_KINDS, have, options.only);
  const limitMs = options.minutes === undefined ? undefined : options.minutes * 60_000;
  const patienceMs = options.patience * 1000;
  const plannedMs = Math.min(limitMs ?? Number.POSITIVE_INFINITY, expectedMs(kinds, options.faults));
  say(`seed ${options.seed}: ${command}`);
  say(`${mode}, about ${Math.ceil(plannedMs / 60_000)} min; logs and report in ${directory}`);
  rmSync(directory, { recursive: true, force: true });

  const startedAt = new Date().toISOString();
  const random = createRandom(options.seed);
  const smallDisk = kinds.some((kind) => kind.needs.includes('small-disk'));
  const cluster = new Cluster({
    embedded: options.embedded,
    redis: options.redis,
    root: options.root,
    nodes: options.nodes,
    standby: options.standby,
    gateways: options.gateways,
    artefacts: directory,
    smallDisk,
  });
  const database = new DatabaseView(cluster.databasePath);
  let aborted = false;
  const abort = (): void => {
    aborted = true;
    say('ending early …');
  };
  process.once('SIGINT', abort);
  process.once('SIGTERM', abort);
  let tooLong: NodeJS.Timeout | undefined;

  const complaints: string[] = [];
  let load: Load | undefined;
  try {
    await cluster.start();
    const accounts = await cluster.accounts(options.users);
    // Not from the start of the nodes on: on a busy machine that takes as long as all the rest.
    tooLong = setTimeout(abort, plannedMs * 3 + 2 * patienceMs);
    const history = new History();
    const peek = (id: number): boolean | undefined => database.has(id);
    load = new Load({ accounts, random: random.fork('load'), history, ports: () => cluster.ports, peek });
    load.start();
    const runner = new Runner({ cluster, load, history, random, say, patienceMs });
    await runner.run({ kinds, faults: options.faults, messages: options.messages, limitMs }, () => aborted);

    say('waiting until everything has arrived …');
    await load.quiesce(patienceMs, () => database.newest());
    load.stop();
    const { events } = history;
    const rows = database.rows();
    complaints.push(...database.damage().map((line) => `the database is damaged: ${line}`));
    database.close();
    await cluster.close();
    complaints.push(...runner.complaints, ...cluster.nodes.flatMap((node) => node.complaints));
    for (const { node, from, to, sends } of untruths(events, runner.readiness)) {
      const seconds = ((to - from) / 1000).toFixed(1);
      complaints.push(
        `node ${node} said it was ready for ${seconds} s from ${(from / 1000).toFixed(1)} s on, while none of ${sends} sends was answered`,
      );
    }
    if (aborted) complaints.push('the run was ended early');

    const verdict = check(events, rows);
    const faults = measureRecovery(events, runner.faults);
    const report: Report = {
      command,
      seed: options.seed,
      mode,
      startedAt,
      durationMs: history.now(),
      ok: verdict.ok && complaints.length === 0,
      verdict,
      complaints,
      faults,
      recovery: summarise(faults),
      closes: byCode(events, 'closed'),
      refusals: byCode(events, 'failed'),
      ...timeline(events),
      readiness: runner.readiness,
    };
    const page = writeReport(directory, report);
    if (!verdict.ok) await keepEvidence(directory, events, rows);
    say(printable(report));
    say(
      `\n${report.ok ? 'every promise kept' : 'PROMISES BROKEN'} (seed ${options.seed})\n${page}\nagain: ${command}`,
    );
    return report.ok;
  } finally {
    clearTimeout(tooLong);
    load?.stop();
    database.close();
    await cluster.close();
  }
}

/** History and rows as they were judged: one JSON value a line. */
async function keepEvidence(
  directory: string,
  events: readonly object[],
  rows: readonly StoredMessage[],
): Promise<void> {
  for (const [name, values] of [
    ['history', events],
    ['rows', rows],
  ] as const) {
    await pipeline(
      Readable.from(asLines(values)),
      createGzip(),
      createWriteStream(join(directory, `${name}.ndjson.gz`)),
    );
  }
}

function* asLines(values: readonly object[]): Generator<string> {
  for (const value of values) yield `${JSON.stringify(value)}\n`;
}

try {
  const ok = await main(parseOptions(process.argv.slice(2)));
  process.exit(ok ? 0 : 1);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  if (error instanceof TypeError || String(error).includes('--')) console.error(`\n${USAGE}`);
  process.exit(2);
}
