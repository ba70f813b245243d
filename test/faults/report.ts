import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { escapeHtml } from '../support/markup.ts';
import { CLASSES, type Verdict, type ViolationClass } from './checker.ts';
import { picture } from './picture.ts';
import type { FaultRecord, Summary } from './recovery.ts';
import type { Moment } from './timeline.ts';
import type { Readiness } from './truthful.ts';

export type Report = {
  command: string;
  seed: string;
  mode: string;
  startedAt: string;
  durationMs: number;
  ok: boolean;
  verdict: Verdict;
  /** Beside the messages: what went wrong with processes, the file, or the run itself. */
  complaints: string[];
  faults: FaultRecord[];
  recovery: Summary[];
  closes: Record<string, number>;
  refusals: Record<string, number>;
  stretchMs: number;
  moments: Moment[];
  readiness: Readiness[];
};

/** Writes report.json and report.html, and returns the page's path. */
export function writeReport(directory: string, report: Report): string {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'report.json'), `${JSON.stringify(report, null, 1)}\n`);
  const page = join(directory, 'report.html');
  writeFileSync(page, html(report));
  return page;
}

/** The tables, for a terminal. */
export function printable(report: Report): string {
  const { verdict, recovery } = report;
  const { totals } = verdict;
  const lines = [
    '',
    `${totals.sends} messages in ${totals.attempts} sends, ${totals.acknowledged} acknowledged, ${totals.stored} stored, ${totals.delivered} deliveries`,
    `${totals.sockets} sockets, ${totals.resumes} resumes, ${totals.pages} pages, ${totals.repeats} repeats, ${totals.unknown} unknown outcomes, ${totals.peeked} looked up at once`,
    '',
    'class          count',
    ...Object.entries(verdict.counts).map(
      ([name, count]) => `${name.padEnd(12)} ${String(count).padStart(7)}`,
    ),
  ];
  for (const samples of Object.values(verdict.samples)) {
    for (const sample of samples.slice(0, 5)) lines.push(`  ${sample.class}: ${sample.what}`);
  }
  lines.push(
    '',
    `recovery (ms)                 faults  timed      p50      p99      max   everybody, max   process back, max`,
  );
  for (const row of recovery) {
    const cells = [row.p50, row.p99, row.max, row.servedMax, row.replacedMax]
      .map((n) => ms(n).padStart(8))
      .join(' ');
    lines.push(
      `${row.name.padEnd(30)} ${String(row.count).padStart(5)} ${String(row.measured).padStart(6)} ${cells}`,
    );
  }
  for (const complaint of report.complaints) lines.push('', `! ${complaint}`);
  return lines.join('\n');
}

const ms = (n: number): string => (Number.isFinite(n) ? String(Math.round(n)) : '–');

const row = (cells: readonly string[], tag = 'td'): string =>
  `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`;

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  `<table>${row(head, 'th')}${rows.map((cells) => row(cells)).join('\n')}</table>`;

function html(report: Report): string {
  const { verdict, faults } = report;
  const classes = Object.entries(CLASSES) as [ViolationClass, string][];
  const samples = Object.values(verdict.samples).flat();
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Parley under faults: ${report.ok ? 'kept' : 'broken'} (seed ${escapeHtml(report.seed)})</title>
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .15rem 1rem .15rem 0; border-bottom: 1px solid #8884; }
td:not(:first-child) { font-variant-numeric: tabular-nums; }
.bad { color: #c0392b; font-weight: 600; } .good { color: #2e8b57; font-weight: 600; }
svg { width: 100%; height: auto; } code { overflow-wrap: anywhere; }
</style>
<h1>Parley under faults: <span class="${report.ok ? 'good' : 'bad'}">${report.ok ? 'every promise kept' : 'promises broken'}</span></h1>
<p>${faults.length} faults, ${verdict.totals.sends} messages, ${verdict.totals.delivered} deliveries in ${Math.round(report.durationMs / 1000)} s
(${report.mode}, ${escapeHtml(report.startedAt)}). Again: <code>${escapeHtml(report.command)}</code></p>
${report.complaints.map((text) => `<p class="bad">${escapeHtml(text)}</p>`).join('\n')}
<h2>What was looked for</h2>
${table(
  ['class', 'found', 'meaning'],
  classes.map(([name, meaning]) => {
    const count = verdict.counts[name];
    return [name, `<span class="${count === 0 ? 'good' : 'bad'}">${count}</span>`, escapeHtml(meaning)];
  }),
)}
${
  samples.length === 0
    ? ''
    : `<h2>Samples</h2>${table(
        ['class', 'at (s)', 'what'],
        samples.map((s) => [s.class, s.at === undefined ? '' : (s.at / 1000).toFixed(1), escapeHtml(s.what)]),
      )}`
}
<h2>The run</h2>
${picture(report)}
<h2>Recovery</h2>
<p>Milliseconds from the process’s death, or the return of what was gone, to the next delivery through the affected path, and
until everybody has had one.
Faults that overlapped another are not timed.</p>
${table(
  ['fault', 'done', 'timed', 'p50', 'p99', 'max', 'everybody, max', 'process back, max'],
  report.recovery.map((r) => [
    r.name,
    String(r.count),
    String(r.measured),
    ms(r.p50),
    ms(r.p99),
    ms(r.max),
    ms(r.servedMax),
    ms(r.replacedMax),
  ]),
)}
<h2>Numbers</h2>
${table(
  ['what', 'count'],
  Object.entries(verdict.totals).map(([name, count]) => [name, String(count)]),
)}
<p>Closes by code: ${counts(report.closes)}. Refusals by code: ${counts(report.refusals)}.</p>
<h2>Faults</h2>
${table(
  ['#', 'at (s)', 'fault', 'target', 'healed after (ms)', 'recovery (ms)'],
  faults.map((fault, i) => [
    String(i + 1),
    (fault.injectedAt / 1000).toFixed(1),
    fault.name,
    escapeHtml(fault.target) + (fault.combined ? ' (combined)' : ''),
    String(Math.round(fault.healedAt - fault.injectedAt)),
    ms(fault.recoveryMs ?? Number.NaN),
  ]),
)}
</html>
`;
}

const counts = (byCode: Record<string, number>): string =>
  Object.entries(byCode)
    .map(([code, count]) => `${code} × ${count}`)
    .join(', ') || 'none';
