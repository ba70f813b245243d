import { parseArgs } from 'node:util';
import { SYSTEMS, type System } from './systems.ts';

export const SCENARIOS = [
  'saturation',
  'idle',
  'storm',
  'growth',
  'busy',
  'slow-readers',
  'history',
  'soak',
] as const;
export type ScenarioName = (typeof SCENARIOS)[number];
/** Those that take long, or gigabytes: only when asked for. */
const ON_REQUEST: readonly ScenarioName[] = ['history', 'soak'];

export type Options = {
  readonly runs: number;
  /** Runs of the scenarios with thousands of sockets: they take long, and vary little. */
  readonly largeRuns: number;
  readonly scenarios: readonly ScenarioName[];
  readonly systems: readonly System[];
  readonly measureMs: number;
  readonly short: boolean;
  readonly keep: boolean;
  /** Directory that keeps the databases of the history scenario for the next time. */
  readonly historyDirectory: string | undefined;
};

export const USAGE = `npm run bench -- [options]
  --runs N           runs of saturation and half load; medians are printed (default 5)
  --large-runs N     runs of all other scenarios (default 1)
  --only a,b         scenarios: ${SCENARIOS.join(', ')}
  --systems a,b      systems: ${SYSTEMS.join(', ')} (the floor is always measured)
  --history          the history scenario, too: builds a database of 10,000,000 messages
  --history-dir DIR  keep its databases there, or use those that are there
  --soak             the soak scenario, too: three minutes of saturation
  --seconds S        length of a measurement (default 2)
  --short            about a minute: server CPU per message against the floor and the kept figure; fails if it doubled
  --keep             with --short: keep the figure in test/bench/baseline.json`;

/** @throws Error with a sentence about the first option that is wrong */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runs: { type: 'string', default: '5' },
      'large-runs': { type: 'string', default: '1' },
      only: { type: 'string' },
      systems: { type: 'string' },
      history: { type: 'boolean', default: false },
      'history-dir': { type: 'string' },
      soak: { type: 'boolean', default: false },
      seconds: { type: 'string', default: '2' },
      short: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
    },
  });
  const asked = values.only === undefined ? undefined : oneOf('scenario', SCENARIOS, values.only);
  const extra = ON_REQUEST.filter((name) => values[name as 'history' | 'soak']);
  const usual = SCENARIOS.filter((name) => !ON_REQUEST.includes(name) || extra.includes(name));
  const systems = values.systems === undefined ? SYSTEMS : oneOf('system', SYSTEMS, values.systems);
  return {
    runs: positive('--runs', values.runs),
    largeRuns: positive('--large-runs', values['large-runs']),
    scenarios: asked === undefined ? usual : [...new Set([...asked, ...extra])],
    systems: SYSTEMS.filter((system) => system === 'floor' || systems.includes(system)),
    measureMs: positive('--seconds', values.seconds) * 1000,
    short: values.short,
    keep: values.keep,
    historyDirectory: values['history-dir'],
  };
}

function oneOf<T extends string>(what: string, known: readonly T[], list: string): T[] {
  return list.split(',').map((name) => {
    const found = known.find((candidate) => candidate === name);
    if (found === undefined) throw new Error(`no such ${what}: ${name} (there are ${known.join(', ')})`);
    return found;
  });
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${option} wants a number above 0, not '${text}'`);
  return value;
}
