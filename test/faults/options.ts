import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../support/root.ts';
import type { RedisForm } from './cluster.ts';

export type Options = {
  faults: number;
  messages: number;
  seed: string;
  embedded: boolean;
  redis: RedisForm;
  nodes: number;
  standby: boolean;
  gateways: number;
  minutes: number | undefined;
  only: string[] | undefined;
  users: number;
  /** What has not come to an end after so long hangs, in seconds. */
  patience: number;
  report: string | undefined;
  root: string;
};

export const USAGE = `Usage: npm run faults -- [--faults N] [--messages M] [--seed S] [--embedded | --redis form --nodes N --standby] [--gateways N] [--minutes T] [--only fault,…] [--users U] [--patience S] [--report dir]

Does faults to a running Parley under load, and checks that it kept its promises.
  --faults N      faults to do (100; without limit when --minutes is given)
  --messages M    messages to send, spread over the faults (200 for each fault, or for each second of --minutes)
  --seed S        repeats the choices of an earlier run (default: a new one, printed)
  --embedded      one node, no Redis
  --redis form    single, sentinel (a replica and three Sentinels) or cluster (three masters, three replicas) (single)
  --nodes N       nodes with a Redis between them (2)
  --standby       every node may hold the writer, not the first alone
  --gateways N    gateways of each node (2)
  --minutes T     stop doing faults after T minutes
  --only a,b      only these faults
  --users U       users, with one or two devices each (30)
  --patience S    seconds after a fault, and at the end, until what is not well again hangs (60)
  --root dir      the checkout to test (this one)
  --report dir    where logs and report go (artifacts/faults/<mode>-<seed>)`;

/** Throws with a sentence for people when the arguments make no sense. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      faults: { type: 'string' },
      messages: { type: 'string' },
      seed: { type: 'string' },
      embedded: { type: 'boolean', default: false },
      redis: { type: 'string', default: 'single' },
      nodes: { type: 'string' },
      standby: { type: 'boolean', default: false },
      gateways: { type: 'string' },
      minutes: { type: 'string' },
      only: { type: 'string' },
      users: { type: 'string' },
      patience: { type: 'string' },
      report: { type: 'string' },
      root: { type: 'string' },
    },
  });
  const minutes = optional('minutes', values.minutes);
  const faults =
    optional('faults', values.faults) ?? (minutes === undefined ? 100 : Number.POSITIVE_INFINITY);
  const byDefault = minutes === undefined ? faults * 200 : Math.round(minutes * 60 * 200);
  return {
    faults,
    messages: optional('messages', values.messages) ?? byDefault,
    seed: values.seed ?? String(Math.floor(Math.random() * 1_000_000)),
    embedded: values.embedded,
    redis: redisForm(values.redis),
    nodes: optional('nodes', values.nodes) ?? 2,
    standby: values.standby,
    gateways: optional('gateways', values.gateways) ?? 2,
    minutes,
    only: values.only?.split(',').map((name) => name.trim()),
    users: Math.max(2, optional('users', values.users) ?? 30),
    patience: optional('patience', values.patience) ?? 60,
    report: values.report,
    root: resolve(values.root ?? ROOT),
  };
}

function redisForm(value: string): RedisForm {
  if (value !== 'single' && value !== 'sentinel' && value !== 'cluster')
    throw new Error(`--redis wants single, sentinel or cluster, not "${value}"`);
  return value;
}

function optional(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!Number.isFinite(number) || number <= 0)
    throw new Error(`--${name} wants a positive number, not "${value}"`);
  return number;
}

/** The command that repeats a run. */
export function commandOf(options: Options): string {
  const args = [`--seed ${options.seed}`];
  if (Number.isFinite(options.faults)) args.push(`--faults ${options.faults}`);
  args.push(`--messages ${options.messages}`);
  if (options.minutes !== undefined) args.push(`--minutes ${options.minutes}`);
  if (options.embedded) args.push('--embedded');
  if (options.redis !== 'single') args.push(`--redis ${options.redis}`);
  if (options.nodes !== 2) args.push(`--nodes ${options.nodes}`);
  if (options.standby) args.push('--standby');
  if (options.gateways !== 2) args.push(`--gateways ${options.gateways}`);
  if (options.only !== undefined) args.push(`--only ${options.only.join(',')}`);
  if (options.users !== 30) args.push(`--users ${options.users}`);
  if (options.patience !== 60) args.push(`--patience ${options.patience}`);
  if (options.root !== ROOT) args.push(`--root ${options.root}`);
  return `npm run faults -- ${args.join(' ')}`;
}
