import type { System } from './systems.ts';

/*
 * What is measured, and what becomes of it: one sample per figure, system, and run; medians of runs; ratios to the floor
 * within the same run, and their medians.
 */

export type Sample = {
  readonly scenario: string;
  readonly system: System;
  readonly run: number;
  readonly figures: Readonly<Record<string, number>>;
  /** Microseconds of server CPU per delivered message, by role. */
  readonly cpuByRole?: Readonly<Record<string, number>>;
  /** What went wrong without ending the run: refusals, unfinished messages. */
  readonly remarks?: Readonly<Record<string, number>>;
};

export type Summary = {
  readonly scenario: string;
  readonly system: System;
  readonly runs: number;
  /** Medians. */
  readonly figures: Readonly<Record<string, number>>;
  /** Medians of the ratios to the floor's figure in the same run. */
  readonly toFloor: Readonly<Record<string, number>>;
  readonly cpuByRole: Readonly<Record<string, number>>;
  /** Sums over all runs. */
  readonly remarks: Readonly<Record<string, number>>;
};

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function summarize(samples: readonly Sample[]): Summary[] {
  const groups = Map.groupBy(samples, (sample) => `${sample.scenario} ${sample.system}`);
  return [...groups.values()].map((group) => {
    const { scenario, system } = group[0]!;
    const floors = samples.filter((sample) => sample.scenario === scenario && sample.system === 'floor');
    const floorOf = (run: number): Sample | undefined => floors.find((sample) => sample.run === run);
    return {
      scenario,
      system,
      runs: group.length,
      figures: medians(group.map((sample) => sample.figures)),
      toFloor: medians(group.map((sample) => ratios(sample.figures, floorOf(sample.run)?.figures ?? {}))),
      cpuByRole: medians(group.map((sample) => sample.cpuByRole ?? {})),
      remarks: sums(group.map((sample) => sample.remarks ?? {})),
    };
  });
}

/** The median of the ratios of one system's figure to another's, run by run. NaN where there is none. */
export function ratioBetween(
  samples: readonly Sample[],
  scenario: string,
  figure: string,
  above: System,
  below: System,
): number {
  const of = (system: System): Sample[] =>
    samples.filter((sample) => sample.scenario === scenario && sample.system === system);
  const belows = of(below);
  return median(
    of(above).flatMap((sample) => {
      const other = belows.find((candidate) => candidate.run === sample.run);
      return other === undefined ? [] : [sample.figures[figure]! / other.figures[figure]!];
    }),
  );
}

type Figures = Readonly<Record<string, number>>;

function ratios(figures: Figures, floor: Figures): Figures {
  return Object.fromEntries(
    Object.entries(figures)
      .filter(([name]) => (floor[name] ?? 0) > 0)
      .map(([name, value]) => [name, value / floor[name]!]),
  );
}

function medians(all: readonly Figures[]): Figures {
  return combine(all, median);
}

function sums(all: readonly Figures[]): Figures {
  return combine(all, (values) => values.reduce((sum, value) => sum + value, 0));
}

function combine(all: readonly Figures[], join: (values: readonly number[]) => number): Figures {
  const names = new Set(all.flatMap((figures) => Object.keys(figures)));
  return Object.fromEntries(
    [...names].map((name) => [name, join(all.flatMap((figures) => figures[name] ?? []))]),
  );
}
