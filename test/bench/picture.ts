import { escapeHtml } from '../support/markup.ts';
import type { Summary } from './sample.ts';
import { NAMES } from './scenarios.ts';
import { LABELS } from './systems.ts';
import { format } from './table.ts';

/*
 * The picture for the README: messages per second and server CPU per message, side by side, with their ratios to the
 * floor. Plain SVG, no script, no font of its own.
 */

const WIDTH = 920;
const PANEL = 400;
const LEFT = 30;
const RIGHT = LEFT + PANEL + 60;
const TOP = 96;
const ROW = 58;
const BAR = 22;
/** Room behind the longest bar for its figures. */
const LABEL_ROOM = 120;

const COLORS = {
  ink: '#1f2328',
  soft: '#656d76',
  line: '#d8dee4',
  floor: '#9aa4af',
  ours: '#1a7f64',
  peer: '#c9803a',
};
/** Shades for the roles of our processes; others get the last. */
const ROLE_COLORS: Readonly<Record<string, string>> = {
  gateway: '#1a7f64',
  writer: '#3f9fd1',
  reader: '#7fb8a4',
  primary: '#8a78c8',
  redis: '#d1584f',
  worker: '#c9803a',
  relay: '#9aa4af',
};

/** Undefined when the scenario it shows was not measured. */
export function picture(summaries: readonly Summary[]): string | undefined {
  const rows = summaries
    .filter((summary) => summary.scenario === NAMES.full)
    .sort((a, b) => b.figures.perSecond! - a.figures.perSecond!);
  if (rows.length === 0) return undefined;
  const height = TOP + rows.length * ROW + 74;
  const runs = Math.max(...rows.map((row) => row.runs));
  const roles = [...new Set(rows.flatMap((row) => Object.keys(row.cpuByRole)))].filter((role) =>
    rows.some((row) => (row.cpuByRole[role] ?? 0) >= 0.5),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"`,
    `  font-family="-apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="13" fill="${COLORS.ink}">`,
    `<title>Messages per second, and server CPU per message</title>`,
    `<rect x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="8" fill="#ffffff" stroke="${COLORS.line}"/>`,
    text(LEFT, 36, '50 users, 8 messages in flight each', { size: 17, weight: 600 }),
    text(LEFT, 76, 'Messages delivered per second', { weight: 600 }),
    text(RIGHT, 76, 'Server CPU per message, all processes', { weight: 600 }),
    ...throughput(rows),
    ...cost(rows),
    ...legend(roles, height - 46),
    text(
      LEFT,
      height - 18,
      `Median of ${runs} ${runs === 1 ? 'run' : 'runs'}; × is the ratio to the bare ws relay in the same run.`,
      {
        size: 11,
        color: COLORS.soft,
      },
    ),
    '</svg>',
    '',
  ].join('\n');
}

function throughput(rows: readonly Summary[]): string[] {
  const scale = (PANEL - LABEL_ROOM) / Math.max(...rows.map((row) => row.figures.perSecond!));
  return rows.flatMap((row, at) => {
    const y = TOP + at * ROW;
    const width = Math.max(2, row.figures.perSecond! * scale);
    return [
      text(LEFT, y + 14, LABELS[row.system], { color: COLORS.soft }),
      bar(LEFT, y + 20, width, colorOf(row)),
      figures(LEFT + width + 8, y + 36, format(row.figures.perSecond!, 0), row.toFloor.perSecond),
    ];
  });
}

function cost(rows: readonly Summary[]): string[] {
  const scale = (PANEL - LABEL_ROOM) / Math.max(...rows.map((row) => row.figures.cpuUsPerMessage!));
  return rows.flatMap((row, at) => {
    const y = TOP + at * ROW;
    const parts = Object.entries(row.cpuByRole).sort(([, a], [, b]) => b - a);
    const sum = parts.reduce((total, [, us]) => total + us, 0);
    // Medians of parts need not add up to the median of the whole: the bar is as long as the whole.
    const stretch = (row.figures.cpuUsPerMessage! / sum) * scale;
    let x = RIGHT;
    const segments = parts.map(([role, us]) => {
      const width = us * stretch;
      const segment = bar(x, y + 20, width, ROLE_COLORS[role] ?? COLORS.floor);
      x += width;
      return segment;
    });
    return [
      text(RIGHT, y + 14, LABELS[row.system], { color: COLORS.soft }),
      ...segments,
      figures(x + 8, y + 36, `${format(row.figures.cpuUsPerMessage!, 0)} µs`, row.toFloor.cpuUsPerMessage),
    ];
  });
}

function legend(roles: readonly string[], y: number): string[] {
  let x = RIGHT;
  return roles.flatMap((role) => {
    const entry = [
      `<rect x="${x}" y="${y - 9}" width="10" height="10" rx="2" fill="${ROLE_COLORS[role] ?? COLORS.floor}"/>`,
      text(x + 15, y, role, { size: 11, color: COLORS.soft }),
    ];
    x += 30 + role.length * 6.5;
    return entry;
  });
}

function colorOf(row: Summary): string {
  if (row.system === 'floor' || row.system === 'durable-floor') return COLORS.floor;
  return row.system === 'socket-io' ? COLORS.peer : COLORS.ours;
}

function bar(x: number, y: number, width: number, color: string): string {
  return `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" fill="${color}"/>`;
}

function figures(x: number, y: number, value: string, ratio: number | undefined): string {
  const beside =
    ratio === undefined ? '' : `<tspan dx="8" fill="${COLORS.soft}">× ${format(ratio, 2)}</tspan>`;
  return `<text x="${x.toFixed(1)}" y="${y}"><tspan font-weight="600">${value}</tspan>${beside}</text>`;
}

type Style = { readonly size?: number; readonly weight?: number; readonly color?: string };

function text(
  x: number,
  y: number,
  content: string,
  { size = 13, weight = 400, color = COLORS.ink }: Style,
): string {
  return `<text x="${x}" y="${y}" font-size="${size}" font-weight="${weight}" fill="${color}">${escapeHtml(content)}</text>`;
}
