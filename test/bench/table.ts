import type { Summary } from './sample.ts';
import { LABELS } from './systems.ts';
import type { Reached } from './targets.ts';

/*
 * The report as a person reads it in a terminal: one block per scenario, systems below each other, ratios to the floor in
 * the same run beside the figures.
 */

type Column = {
  readonly title: string;
  readonly figure: string;
  readonly digits: number;
  readonly scale?: number;
  /** Whether the ratio to the floor stands beside it. */
  readonly ratio?: boolean;
};

const RATE: Column = { title: 'messages/s', figure: 'perSecond', digits: 0, ratio: true };
const CPU: Column = { title: 'CPU µs/message', figure: 'cpuUsPerMessage', digits: 1, ratio: true };
const P50: Column = { title: 'p50 ms', figure: 'p50Ms', digits: 2 };
const P99: Column = { title: 'p99 ms', figure: 'p99Ms', digits: 2, ratio: true };
const P999: Column = { title: 'p99.9 ms', figure: 'p999Ms', digits: 2 };
const LOAD: Column = { title: 'generator %', figure: 'generatorLoad', digits: 0, scale: 100 };
const MEGABYTE = 1e-6;

const BLOCKS: readonly {
  readonly scenario: RegExp;
  readonly columns: readonly Column[];
  readonly note?: string;
}[] = [
  { scenario: /in flight$/, columns: [RATE, CPU, P50, P99, LOAD] },
  {
    scenario: /^half load$/,
    columns: [{ ...RATE, ratio: false }, P50, P99, P999, CPU, LOAD],
    note: 'open loop, 50 users, each system at half of what it reached with 8 in flight',
  },
  {
    scenario: /^idle sockets$/,
    columns: [
      { title: 'sockets', figure: 'sockets', digits: 0 },
      { title: 'KB each', figure: 'bytesPerSocket', digits: 1, scale: 1e-3, ratio: true },
      { title: 'MB in all', figure: 'memory', digits: 0, scale: MEGABYTE },
      { title: 'connects/s', figure: 'connectsPerSecond', digits: 0, ratio: true },
    ],
    note: 'proportional set size of all processes, without the kernel’s buffers',
  },
  {
    scenario: /^reconnect storm$/,
    columns: [
      { title: 'lost', figure: 'lost', digits: 0 },
      { title: 'all back s', figure: 'allBackSeconds', digits: 2 },
      { title: 'half back ms', figure: 'backP50Ms', digits: 0 },
      { title: 'hung connects', figure: 'hung', digits: 0 },
      { title: 'not back', figure: 'notBack', digits: 0 },
      { title: 'sent', figure: 'sent', digits: 0 },
      { title: 'missing', figure: 'missing', digits: 0 },
      { title: 'doubled', figure: 'duplicates', digits: 0 },
      { title: 'unanswered', figure: 'unanswered', digits: 0 },
    ],
    note: 'one worker is killed under load; its clients come back after 0–1 s, longer when that failed, and catch up if they can',
  },
  {
    scenario: /^growth/,
    columns: [CPU, P50, P99],
    note: 'open loop at a fixed rate, over more and more users',
  },
  { scenario: /^one busy/, columns: [RATE, CPU, P50, P99], note: 'open loop, two users, one socket each' },
  {
    scenario: /^slow readers$/,
    columns: [
      { title: 'p99 ms, all read', figure: 'p99MsReading', digits: 2 },
      { title: 'some do not', figure: 'p99Ms', digits: 2, ratio: true },
      { title: 'memory + MB', figure: 'memoryGrowth', digits: 1, scale: MEGABYTE, ratio: true },
    ],
    note: 'what the others see, open loop, while two clients are sent long texts: first they read them, then they stop reading',
  },
  {
    scenario: /^history/,
    columns: [P50, { ...P99, ratio: false }, { title: 'CPU µs/page', figure: 'cpuUsPerPage', digits: 0 }],
  },
  {
    scenario: /saturation$/,
    columns: [
      RATE,
      CPU,
      { title: 'MB at the end', figure: 'memory', digits: 0, scale: MEGABYTE },
      { title: 'last minute %', figure: 'memoryRise', digits: 2, scale: 100 },
    ],
  },
];

export function table(
  summaries: readonly Summary[],
  targets: readonly Reached[],
  failures: readonly string[],
): string {
  const lines: string[] = [];
  const scenarios = [...new Set(summaries.map((summary) => summary.scenario))];
  for (const scenario of scenarios) {
    const block = BLOCKS.find((candidate) => candidate.scenario.test(scenario));
    const rows = summaries.filter((summary) => summary.scenario === scenario);
    if (block === undefined) continue;
    const runs = Math.max(...rows.map((row) => row.runs));
    lines.push('', `${scenario} (${runs === 1 ? 'one run' : `median of ${runs} runs`})`);
    if (block.note !== undefined) lines.push(block.note);
    lines.push(...aligned([header(block.columns), ...rows.map((row) => cells(row, block.columns))]));
    lines.push(...rows.flatMap(details));
  }
  if (targets.length > 0) {
    lines.push('', 'targets');
    const rows = targets.map(({ target, system, value, bound, atLeast, met }) => [
      `${met ? '✓' : '✗'} ${target}`,
      LABELS[system],
      format(value, 2),
      `${atLeast ? '≥' : '≤'} ${bound}`,
    ]);
    lines.push(...aligned(rows, 2));
  }
  if (failures.length > 0) lines.push('', 'failed', ...failures.map((failure) => `  ${failure}`));
  return lines.join('\n');
}

function header(columns: readonly Column[]): string[] {
  return ['', ...columns.flatMap(({ title, ratio }) => (ratio ? [title, '× floor'] : [title]))];
}

function cells(row: Summary, columns: readonly Column[]): string[] {
  return [
    LABELS[row.system],
    ...columns.flatMap(({ figure, digits, scale = 1, ratio }) => {
      const value = format((row.figures[figure] ?? Number.NaN) * scale, digits);
      return ratio ? [value, format(row.toFloor[figure] ?? Number.NaN, 2)] : [value];
    }),
  ];
}

/** Where the CPU time went, and what went wrong. */
function details(row: Summary): string[] {
  const roles = Object.entries(row.cpuByRole)
    .filter(([, us]) => us >= 0.05)
    .sort(([, a], [, b]) => b - a)
    .map(([role, us]) => `${role} ${us.toFixed(1)}`);
  const remarks = Object.entries(row.remarks).map(([what, count]) => `${what}: ${count}`);
  const lines: string[] = [];
  if (roles.length > 1) lines.push(`  ${LABELS[row.system]}: CPU µs/message by role: ${roles.join(', ')}`);
  if (remarks.length > 0) lines.push(`  ${LABELS[row.system]}: ${remarks.join(', ')}`);
  return lines;
}

export function format(value: number, digits: number): string {
  if (!Number.isFinite(value)) return '–';
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** The first `left` columns are text, the others figures. */
function aligned(rows: readonly (readonly string[])[], left = 1): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    `  ${row
      .map((cell, column) => (column < left ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')}`.trimEnd(),
  );
}
