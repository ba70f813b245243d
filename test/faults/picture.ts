import { escapeHtml } from '../support/markup.ts';
import type { FaultRecord } from './recovery.ts';
import type { Report } from './report.ts';
import type { Moment } from './timeline.ts';

/*
 * The timeline of a run as one SVG, without any script: faults above, then deliveries, latency, sockets and readiness.
 */

const WIDTH = 1160;
const LEFT = 150;
const RIGHT = 10;
const LANE = 11;
const CHART = 110;
const GAP = 34;

type Scale = (at: number) => number;

export function picture(report: Report): string {
  const end = Math.max(1, report.durationMs);
  const x: Scale = (at) => LEFT + (Math.min(at, end) / end) * (WIDTH - LEFT - RIGHT);
  const names = [...new Set(report.faults.map((fault) => fault.name))];
  let y = 16;
  const parts: string[] = [];
  const lanes = y;
  for (const name of names) {
    parts.push(lane(report.faults, name, y, x, names));
    y += LANE;
  }
  // Each fault casts its shadow over the charts, so that cause and effect can be seen together.
  const shadowFrom = y;
  y += GAP;
  const charts: string[] = [];
  charts.push(area(report.moments, (m) => m.delivered, 'deliveries/s', y, x, '#3b82f6'));
  y += CHART + GAP;
  charts.push(latency(report.moments, y, x));
  y += CHART + GAP;
  charts.push(area(report.moments, (m) => m.connected, 'sockets', y, x, '#8b5cf6', 50));
  y += 50 + GAP;
  charts.push(readiness(report, y, x));
  y += new Set(report.readiness.map((r) => r.node)).size * LANE + 4;
  const shadows = report.faults.map(
    (fault) =>
      `<rect x="${x(fault.injectedAt)}" y="${shadowFrom}" width="${Math.max(1, x(fault.healedAt) - x(fault.injectedAt))}" height="${y - shadowFrom}" fill="${colour(fault.name, names)}" opacity=".13"/>`,
  );
  return `<svg viewBox="0 0 ${WIDTH} ${y + 24}" role="img" aria-label="Timeline of the run" font-size="9" fill="currentColor">
<text x="${LEFT}" y="${lanes - 5}" font-size="10">faults (point at one to read it)</text>
${[...shadows, ...parts, ...charts, axis(end, y, x)].join('\n')}
</svg>`;
}

const colour = (name: string, names: readonly string[]): string =>
  `hsl(${Math.round((names.indexOf(name) * 360) / Math.max(1, names.length))} 70% 50%)`;

function lane(
  faults: readonly FaultRecord[],
  name: string,
  y: number,
  x: Scale,
  names: readonly string[],
): string {
  const bars = faults
    .filter((fault) => fault.name === name)
    .map((fault) => {
      const width = Math.max(3, x(fault.healedAt) - x(fault.injectedAt));
      const took = fault.recoveryMs === null ? '' : `, back after ${Math.round(fault.recoveryMs)} ms`;
      const title = escapeHtml(`${(fault.injectedAt / 1000).toFixed(1)} s: ${name}, ${fault.target}${took}`);
      return `<rect x="${x(fault.injectedAt)}" y="${y}" width="${width}" height="${LANE - 2}" fill="${colour(name, names)}"><title>${title}</title></rect>`;
    });
  const label = `<text x="${LEFT - 5}" y="${y + LANE - 3}" text-anchor="end" font-size="8" opacity=".7">${name}</text>`;
  return bars.join('') + label;
}

function frame(label: string, top: string, y: number, height: number): string {
  return `<text x="${LEFT}" y="${y - 5}" font-size="10">${label}</text>
<text x="${LEFT - 5}" y="${y + 7}" text-anchor="end">${top}</text><text x="${LEFT - 5}" y="${y + height}" text-anchor="end">0</text>
<path d="M${LEFT} ${y}V${y + height}H${WIDTH - RIGHT}" fill="none" stroke="currentColor" opacity=".35"/>`;
}

function area(
  moments: readonly Moment[],
  of: (moment: Moment) => number,
  label: string,
  y: number,
  x: Scale,
  fill: string,
  height = CHART,
): string {
  const top = Math.max(1, ...moments.map(of));
  const points = moments.map(
    (m) => `${x(m.at).toFixed(1)} ${(y + height - (of(m) / top) * height).toFixed(1)}`,
  );
  const last = x(moments.at(-1)?.at ?? 0).toFixed(1);
  return `${frame(label, String(top), y, height)}
<path d="M${LEFT} ${y + height}L${points.join('L')}L${last} ${y + height}Z" fill="${fill}" opacity=".55"/>`;
}

const DECADES = [1, 10, 100, 1_000, 10_000];

function latency(moments: readonly Moment[], y: number, x: Scale): string {
  const height = (value: number): number =>
    y + CHART - (Math.log10(Math.min(Math.max(value, 1), 30_000)) / Math.log10(30_000)) * CHART;
  const grid = DECADES.map(
    (value) =>
      `<text x="${LEFT - 5}" y="${height(value) + 3}" text-anchor="end">${value}</text><path d="M${LEFT} ${height(value)}H${WIDTH - RIGHT}" stroke="currentColor" opacity=".12"/>`,
  );
  const dots = (of: (m: Moment) => number, fill: string): string =>
    moments
      .filter((m) => Number.isFinite(of(m)))
      .map(
        (m) => `<circle cx="${x(m.at).toFixed(1)}" cy="${height(of(m)).toFixed(1)}" r="1.6" fill="${fill}"/>`,
      )
      .join('');
  return `<text x="${LEFT}" y="${y - 5}" font-size="10">latency, ms: <tspan fill="#10b981">p50</tspan> and <tspan fill="#ef4444">p99</tspan>, from the first sending to the receiver</text>
${grid.join('')}${dots((m) => m.p99, '#ef4444')}${dots((m) => m.p50, '#10b981')}`;
}

function readiness(report: Report, y: number, x: Scale): string {
  const nodes = [...new Set(report.readiness.map((r) => r.node))].sort();
  const strips = nodes.map((node, i) => {
    const top = y + i * LANE;
    const marks = report.readiness
      .filter((r) => r.node === node && r.ready !== true)
      .map((r) => {
        const fill = r.ready === false ? '#f59e0b' : '#6b7280';
        return `<rect x="${x(r.at).toFixed(1)}" y="${top}" width="1.5" height="${LANE - 2}" fill="${fill}"/>`;
      });
    return `<text x="${LEFT - 5}" y="${top + LANE - 3}" text-anchor="end">node ${node}</text>
<rect x="${LEFT}" y="${top}" width="${WIDTH - LEFT - RIGHT}" height="${LANE - 2}" fill="#10b981" opacity=".25"/>${marks.join('')}`;
  });
  return `<text x="${LEFT}" y="${y - 5}" font-size="10">/readyz: <tspan fill="#10b981">ready</tspan>, <tspan fill="#f59e0b">not ready</tspan>, <tspan fill="#6b7280">no answer</tspan></text>
${strips.join('\n')}`;
}

function axis(end: number, y: number, x: Scale): string {
  const step = [5, 10, 30, 60, 120, 300, 600].find((s) => end / 1000 / s <= 15) ?? 1200;
  const ticks: string[] = [];
  for (let s = 0; s * 1000 <= end; s += step) {
    ticks.push(`<text x="${x(s * 1000)}" y="${y + 14}" text-anchor="middle">${s} s</text>`);
  }
  return ticks.join('');
}
