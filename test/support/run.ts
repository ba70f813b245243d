import { execFileSync, spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import path from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { COMPILE_CACHE } from '../../src/config/runtime.ts';
import { BROWSERS, findProgram } from './programs.ts';
import { ROOT } from './root.ts';

/*
 * What `npm test` runs: finds the programs that npm can't bring, checks types and style, measures
 * what a message costs, and runs every suite. `npm test -- unit cluster` runs some suites only.
 */

// Of processes that tests start, too.
process.env['NODE_COMPILE_CACHE'] = COMPILE_CACHE;

const BIN = path.join(ROOT, 'node_modules/.bin');

/**
 * Suites, each a folder under test/: the seconds a test may take, how many files run at once, and the files that take longest. Those
 * begin first: else the last of them would run alone.
 */
const SUITES = [
  { name: 'unit', seconds: 120, atOnce: 4, first: ['redis-probe'] },
  { name: 'model', seconds: 120, atOnce: 2, first: [] },
  {
    name: 'conformance',
    seconds: 180,
    atOnce: 8,
    first: ['redis-bus', 'leaser', 'redis-failover', 'redis-bus-replicated', 'answers-not-taken'],
  },
  { name: 'cluster', seconds: 300, atOnce: 3, first: ['restart', 'backup', 'stores', 'start'] },
  { name: 'e2e', seconds: 300, atOnce: 2, first: ['screens', 'chat', 'history', 'connection', 'accounts'] },
  { name: 'faults', seconds: 420, atOnce: 2, first: ['crowd'] },
] as const;

/** What takes longer hangs: a test that failed, and left something open. In milliseconds. */
const STEP_MS = 600_000;

/** What the tests need: one of these programs, each in the Debian package of its name. The first is installed. */
const PROGRAMS = [['redis-server'], BROWSERS, ['openssl']] as const;

/** Finds a program, or installs it with apt where that is allowed; otherwise stops with one line that names it. */
function provide(programs: (typeof PROGRAMS)[number]): void {
  if (programs.some((program) => findProgram(program) !== undefined)) return;
  const [wanted] = programs;
  const stop = (): never => {
    process.stderr.write(
      `npm test needs ${programs.join(' or ')} on the PATH (Debian: apt-get install ${wanted}).\n`,
    );
    process.exit(1);
  };
  if (findProgram('apt-get') === undefined || process.getuid?.() !== 0) stop();
  process.stdout.write(`installing ${wanted} with apt-get …\n`);
  const apt = (...args: string[]): void => {
    execFileSync('apt-get', args, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  };
  try {
    apt('update', '-qq');
    apt('install', '-y', '-qq', '--no-install-recommends', wanted);
  } catch {
    stop();
  }
  // Debian starts the service; the tests have servers of their own.
  if (wanted === 'redis-server') spawnSync('service', ['redis-server', 'stop'], { stdio: 'ignore' });
}

function step(title: string, command: string, args: readonly string[]): void {
  const started = Date.now();
  process.stdout.write(`\n── ${title}\n`);
  const { status } = spawnSync(command, args, {
    cwd: ROOT,
    timeout: STEP_MS,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) {
    process.stderr.write(`\n${title}: failed\n`);
    process.exit(1);
  }
  process.stdout.write(`── ${title}: ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
}

async function runSuite({ name, seconds, atOnce, first }: (typeof SUITES)[number]): Promise<void> {
  const started = Date.now();
  process.stdout.write(`\n── test/${name}\n`);
  const all = globSync(`test/${name}/*.test.ts`, { cwd: ROOT }).sort();
  const longest = first.map((file) => path.join('test', name, `${file}.test.ts`));
  const tests = run({
    files: [...new Set([...longest, ...all])],
    cwd: ROOT,
    concurrency: atOnce,
    timeout: seconds * 1000,
    signal: AbortSignal.timeout(STEP_MS),
  });
  let passed = false;
  tests.on('test:summary', ({ file, success }) => {
    if (file === undefined) passed = success;
  });
  for await (const text of tests.compose(spec)) process.stdout.write(text);
  if (!passed) {
    process.stderr.write(`\ntest/${name}: failed\n`);
    process.exit(1);
  }
  process.stdout.write(`── test/${name}: ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
}

const wanted = process.argv.slice(2);
const suites = SUITES.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
if (suites.length < wanted.length) {
  process.stderr.write(`Suites: ${SUITES.map(({ name }) => name).join(', ')}.\n`);
  process.exit(1);
}

for (const needed of PROGRAMS) provide(needed);
if (wanted.length === 0) {
  step('types', path.join(BIN, 'tsc'), []);
  step('style', path.join(BIN, 'biome'), ['check', '--error-on-warnings']);
  // First, while the machine is quiet: what a message costs beside the floor, against the figure that is kept.
  step('what a message costs', process.execPath, ['test/bench/run.ts', '--short']);
}
for (const suite of suites) await runSuite(suite);
