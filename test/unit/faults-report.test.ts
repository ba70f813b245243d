import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { check } from '../faults/checker.ts';
import { History } from '../faults/history.ts';
import { type FaultRecord, summarise } from '../faults/recovery.ts';
import { printable, type Report, writeReport } from '../faults/report.ts';
import { byCode, timeline } from '../faults/timeline.ts';
import { temporaryFolder } from '../support/server.ts';

function sample(): Report {
  let now = 0;
  const history = new History(() => now);
  const to = { to: 'bob', text: '<b>' };
  history.record({ kind: 'invoked', socket: 1, user: 'alice', clientId: 'c1', ...to });
  now = 5_000;
  history.record({
    kind: 'acknowledged',
    socket: 1,
    user: 'alice',
    clientId: 'c1',
    id: 1,
    repeat: false,
    ...to,
  });
  const fault: FaultRecord = {
    name: 'writer-kill',
    target: 'node 1, <writer>',
    injectedAt: 1_000,
    healedAt: 2_000,
    measureFrom: 'inject',
    path: { kind: 'all' },
    combined: false,
    recoveryMs: 640,
    servedMs: null,
    replacedMs: 300,
  };
  const { events } = history;
  return {
    command: 'npm run faults -- --seed 1',
    seed: '1',
    mode: 'redis',
    startedAt: '2026-01-31T12:00:00Z',
    durationMs: 6_000,
    ok: false,
    verdict: check(events, []),
    complaints: ['node 1 ended by itself: 1'],
    faults: [fault],
    recovery: summarise([fault]),
    closes: byCode(events, 'closed'),
    refusals: byCode(events, 'failed'),
    ...timeline(events),
    readiness: [{ at: 1_500, node: 1, ready: false }],
  };
}

test('the report is a page that needs nothing else, and JSON', (t) => {
  const directory = temporaryFolder(t);
  const page = readFileSync(writeReport(directory, sample()), 'utf8');
  for (const part of [
    '<svg',
    'promises broken',
    'writer-kill',
    'back after 640 ms',
    'node 1 ended by itself: 1',
  ]) {
    assert.ok(page.includes(part), part);
  }
  assert.ok(page.includes('node 1, &lt;writer&gt;') && !page.includes('<writer>') && !page.includes('"<b>"'));
  assert.doesNotMatch(page, /<script|https?:\/\/|NaN|Infinity|undefined/);
  const json = JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8')) as Report;
  assert.equal(json.verdict.counts.lost, 1);
  assert.equal(json.faults[0]!.recoveryMs, 640);
});

test('the terminal gets the classes, the first samples, the recovery times and the complaints', () => {
  const text = printable(sample());
  assert.match(text, /lost +1\n/);
  assert.match(text, /lost: alice's c1 was acknowledged as 1, which is not stored/);
  assert.match(text, /writer-kill +1 +1 +640 +640 +640 +– +300/);
  assert.match(text, /! node 1 ended by itself: 1/);
});
