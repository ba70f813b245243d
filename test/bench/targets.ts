import { median, ratioBetween, type Sample } from './sample.ts';
import { NAMES } from './scenarios.ts';
import { PARLEY, type System } from './systems.ts';

/*
 * What Parley is to reach on any machine: ratios to what was measured beside it, and bounds a person would notice.
 */

export type Reached = {
  readonly system: System;
  readonly target: string;
  readonly bound: number;
  readonly atLeast: boolean;
  /** NaN where it was not measured. */
  readonly value: number;
  readonly met: boolean;
};

type Value = (samples: readonly Sample[], system: System) => number;
type Target = { readonly target: string; readonly value: Value } & (
  | { readonly atMost: number }
  | { readonly atLeast: number }
);

const { full: FULL, many: MANY } = NAMES;

const toFloor =
  (scenario: string, figure: string): Value =>
  (samples, system) =>
    ratioBetween(samples, scenario, figure, system, 'floor');

const of =
  (scenario: string, figure: string): Value =>
  (samples, system) =>
    median(
      samples
        .filter((sample) => sample.scenario === scenario && sample.system === system)
        .map((sample) => sample.figures[figure]!),
    );

const between =
  (above: string, below: string, figure: string): Value =>
  (samples, system) =>
    of(above, figure)(samples, system) / of(below, figure)(samples, system);

const TARGETS: readonly Target[] = [
  { target: `CPU per message, × the floor's, ${FULL}`, value: toFloor(FULL, 'cpuUsPerMessage'), atMost: 2.5 },
  { target: `CPU per message, × the floor's, ${MANY}`, value: toFloor(MANY, 'cpuUsPerMessage'), atMost: 2.5 },
  { target: `messages per second, × the floor's, ${FULL}`, value: toFloor(FULL, 'perSecond'), atLeast: 0.5 },
  {
    target: `messages per second, × Socket.IO's, ${FULL}`,
    value: (samples, system) => ratioBetween(samples, FULL, 'perSecond', system, 'socket-io'),
    atLeast: 8,
  },
  { target: 'p99 at half load, ms', value: of(NAMES.halfLoad, 'p99Ms'), atMost: 10 },
  {
    target: 'memory per idle socket, KB',
    value: (samples, system) => of(NAMES.idle, 'bytesPerSocket')(samples, system) / 1000,
    atMost: 12,
  },
  {
    target: 'all back and caught up after a worker was killed, s',
    value: of(NAMES.storm, 'allBackSeconds'),
    atMost: 10,
  },
  { target: 'messages missing or doubled in the storm', value: stormFaults, atMost: 0 },
  {
    target: 'CPU per message, 10,000 users × 100 users',
    value: between(NAMES.growth(10_000), NAMES.growth(100), 'cpuUsPerMessage'),
    atMost: 1.5,
  },
  {
    target: 'history page p99 out of 10,000,000, ms',
    value: of(NAMES.history(10_000_000), 'p99Ms'),
    atMost: 5,
  },
  {
    target: 'history page p99, 10,000,000 × 100,000',
    value: between(NAMES.history(10_000_000), NAMES.history(100_000), 'p99Ms'),
    atMost: 1.5,
  },
  {
    target: 'memory rise in the last of three minutes, %',
    value: (samples, system) => 100 * of(NAMES.soak, 'memoryRise')(samples, system),
    atMost: 1,
  },
];

function stormFaults(samples: readonly Sample[], system: System): number {
  const faults = ['missing', 'duplicates', 'unanswered', 'notBack'];
  return faults.reduce((sum, figure) => sum + of(NAMES.storm, figure)(samples, system), 0);
}

/** All targets that were measured, for Parley's variants. */
export function targets(samples: readonly Sample[]): Reached[] {
  return PARLEY.flatMap((system) =>
    TARGETS.map((entry) => {
      const value = entry.value(samples, system);
      const atLeast = 'atLeast' in entry;
      const bound = 'atLeast' in entry ? entry.atLeast : entry.atMost;
      return {
        system,
        target: entry.target,
        bound,
        atLeast,
        value,
        met: atLeast ? value >= bound : value <= bound,
      };
    }).filter(({ value }) => !Number.isNaN(value)),
  );
}
