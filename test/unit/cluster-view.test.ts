import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClusterView } from '../../src/ops/cluster-view.ts';
import {
  addBuckets,
  type Counts,
  countsOf,
  NO_BUCKETS,
  type NodeSummary,
  quantile,
} from '../../src/ops/node-summary.ts';
import { ManualClock } from '../support/manual-clock.ts';

const IDLE: Counts = countsOf([]);

const summary = (
  node: string,
  counts: Partial<Counts> = {},
  more: Partial<NodeSummary> = {},
): NodeSummary => ({
  node,
  version: '1.0.0',
  role: 'gateway',
  upMs: 1_000,
  writer: 'elsewhere',
  workers: [],
  failing: [],
  readyGateways: 1,
  counts: { ...IDLE, ...counts },
  ...more,
});

function view(): { clock: ManualClock; view: ClusterView; second(...summaries: NodeSummary[]): void } {
  const clock = new ManualClock();
  const it = new ClusterView(clock);
  return {
    clock,
    view: it,
    second(...summaries) {
      for (const one of summaries) it.hear(one);
      it.tick();
      clock.advance(1_000);
    },
  };
}

test('rates and sockets of the cluster are the sums over its nodes', () => {
  const { view: it, second } = view();
  for (let s = 0; s < 5; s++) {
    second(summary('a', { sockets: 3, delivered: 100 * s }), summary('b', { sockets: 4, delivered: 50 * s }));
  }
  const { samples, nodes, problems } = it.answer([], 0);
  assert.equal(samples.at(-1)?.sockets, 7);
  assert.equal(samples.at(-1)?.delivered, 150);
  assert.deepEqual(
    nodes.map(({ node, now }) => [node, now.delivered]),
    [
      ['a', 100],
      ['b', 50],
    ],
  );
  assert.deepEqual(problems, []);
});

test('a node that falls silent is a problem, no longer counts, and is missed for an hour', () => {
  const { clock, view: it, second } = view();
  second(summary('a', { sockets: 1 }), summary('b', { sockets: 1 }));
  for (let s = 0; s < 5; s++) second(summary('a', { sockets: 1 }));
  assert.deepEqual(it.answer([], 0).problems, ['b is not heard any more']);
  assert.equal(it.answer([], 0).samples.at(-1)?.sockets, 1);
  clock.advance(3_500_000);
  second(summary('a', { sockets: 1 }));
  assert.deepEqual(it.answer([], 0).problems, ['b is not heard any more']);
  clock.advance(100_000);
  second(summary('a', { sockets: 1 }));
  assert.deepEqual(
    it.answer([], 0).nodes.map(({ node }) => node),
    ['a'],
  );
});

test('G10: what fails on a node is a problem in its words, and is told once as an event, whatever second it names', () => {
  const { view: it, second } = view();
  second(summary('a'), summary('b'));
  for (let s = 4; s < 9; s++)
    second(summary('a'), summary('b', {}, { failing: [`no beat for ${s} s`], readyGateways: 0 }));
  assert.deepEqual(it.answer([], 0).problems, ['b: no beat for 8 s']);
  second(summary('a'), summary('b'));
  assert.deepEqual(it.answer([], 0).problems, []);
  const events = it.answer([], 0).events.map(({ level, text }) => `${level} ${text}`);
  assert.deepEqual(events.slice(0, 2), ['info b: ready', 'warn b: no beat for 4 s']);
});

test('what fails on a node that is heard comes before those that are missing, a store included', () => {
  const { view: it, second } = view();
  second(summary('a'), summary('b'), summary('former', {}, { role: 'store' }));
  for (let s = 0; s < 5; s++) second(summary('b', {}, { failing: ['Redis fails: OOM'] }));
  assert.deepEqual(it.answer(['no beat'], 0).problems, [
    'no beat',
    'b: Redis fails: OOM',
    'former is not heard any more',
    'a is not heard any more',
  ]);
});

test('G10: a page that knows of no ready gateway says so: those that are lost, or not ready, do not count', () => {
  const { view: it, second } = view();
  const store = summary('store', {}, { role: 'store', readyGateways: 0 });
  const none = 'no gateway is ready: clients are not served';
  second(store);
  assert.deepEqual(it.answer([], 0).problems, [none]);
  second(store, summary('a'));
  assert.deepEqual(it.answer([], 0).problems, []);
  second(store, summary('a', {}, { failing: ['no beat'], readyGateways: 0 }));
  assert.deepEqual(it.answer([], 0).problems, [none, 'a: no beat']);
  second(store, summary('a'));
  for (let s = 0; s < 5; s++) second(store);
  assert.deepEqual(it.answer([], 0).problems, [none, 'a is not heard any more']);
});

test('a clock that is set back: the page gets what is so now, and nothing that lies ahead', () => {
  const { clock, view: it, second } = view();
  for (let s = 0; s < 5; s++) second(summary('a', { sockets: 1 }));
  const after = it.answer([], 0).samples.at(-1)?.at as number;
  clock.step(-3_600_000);
  second(summary('a', { sockets: 2 }));
  const { at, samples } = it.answer([], after);
  assert.deepEqual(
    samples.map(({ sockets }) => sockets),
    [2],
  );
  assert.ok(samples.every((sample) => sample.at <= at));
});

test('G6: a page looks back ten minutes and on sixty events, and gets what it does not have yet; G10: why a node is in trouble', () => {
  const { view: it, second } = view();
  for (let s = 0; s < 700; s++)
    second(summary('a', { delivered: s ** 2 }, s % 2 === 0 ? {} : { trouble: `crash loop: reader ${s}` }));
  const { samples, events, problems } = it.answer([], 0);
  assert.deepEqual(problems, ['a: crash loop: reader 699']);
  assert.equal(samples.length, 600);
  assert.equal(events.length, 60);
  assert.equal(events[0]?.text, 'a: crash loop: reader 699');
  const [before, last] = samples.slice(-2);
  assert.deepEqual(it.answer([], before?.at as number).samples, [last]);
  assert.equal(last?.delivered, (699 ** 2 - 696 ** 2) / 3, 'a rate is of the last three seconds');
});

test('latencies are told in milliseconds, and commits that begin to fail once', () => {
  const { view: it, second } = view();
  const counts = (n: number): Partial<Counts> => ({
    commitFailures: n,
    commit: { bounds: [0.25, 0.5], counts: [0, n, 0] },
  });
  for (const n of [0, 100, 200]) second(summary('a', counts(n)), summary('b'));
  assert.equal(it.answer([], 0).samples.at(-1)?.commit99, 497.5);
  const warnings = it.answer([], 0).events.filter(({ level }) => level === 'warn');
  assert.deepEqual(
    warnings.map(({ text }) => text),
    ['a: commits fail'],
  );
});

test('of lost nodes, a page keeps fifty: those that were heard last', () => {
  const { view: it, second } = view();
  for (let n = 0; n < 70; n++) second(summary(`n${n}`));
  for (let s = 0; s < 5; s++) second(summary('a'));
  const names = it.answer([], 0).nodes.map(({ node }) => node);
  assert.equal(names.length, 51);
  assert.ok(names.includes('n69') && !names.includes('n19'), names.join());
});

test('a node that says it shuts down leaves without alarm', () => {
  const { view: it, second } = view();
  second(summary('a'), summary('b'));
  second(summary('a'), summary('b', {}, { trouble: 'this node is shutting down' }));
  for (let s = 0; s < 5; s++) second(summary('a'));
  assert.deepEqual(it.answer([], 0).problems, []);
  assert.ok(it.answer([], 0).events.some(({ level, text }) => level === 'info' && text === 'b has left'));
});

test('a restarted worker and a new writer are told as events', () => {
  const { view: it, second } = view();
  const worker = { name: 'writer', pid: 1, upMs: 5, restarts: 0, sockets: 0 };
  second(summary('a', {}, { writer: 'leader', workers: [worker] }), summary('b'));
  second(summary('a', { restarts: 1 }, { writer: 'standby', workers: [{ ...worker, restarts: 1 }] }));
  second(summary('b', {}, { writer: 'leader' }));
  const texts = it.answer([], 0).events.map(({ text }) => text);
  assert.ok(texts.includes('a: writer restarted'), texts.join('; '));
  assert.ok(texts.includes('b writes the database now'), texts.join('; '));
});

test('an event that comes again and again, as in a crash loop, takes one place, and does not push out what was before it', () => {
  const { view: it, second } = view();
  second(summary('a'), summary('b'));
  const worker = { name: 'writer', pid: 1, upMs: null, sockets: 0 };
  for (let restarts = 1; restarts <= 100; restarts++)
    second(summary('a', { restarts }, { workers: [{ ...worker, restarts }] }), summary('b'));
  const [restarted, ...before] = it.answer([], 0).events.map(({ text, times }) => [text, times]);
  assert.deepEqual(restarted, ['a: writer restarted', 100]);
  assert.deepEqual(before, [
    ['b joined', 1],
    ['a joined', 1],
  ]);
});

test('quantiles are taken within the bucket, and above the last bound there is nothing to say', () => {
  const bounds = [1, 2, 4];
  assert.equal(quantile({ bounds, counts: [0, 10, 0, 0] }, 0.5), 1.5);
  assert.equal(quantile({ bounds, counts: [0, 0, 0, 3] }, 0.99), 4);
  assert.equal(quantile({ bounds, counts: [0, 0, 0, 0] }, 0.99), null);
  assert.equal(quantile({ bounds: [], counts: [] }, 0.5), null);
  const several = { bounds, counts: [2, 4, 2, 2] };
  assert.deepEqual(
    [0.1, 0.4, 0.7, 0.8].map((share) => quantile(several, share)),
    [0.5, 1.5, 3, 4],
  );
});

test('buckets of several nodes are added one by one', () => {
  const [one, two] = [
    { bounds: [1, 2], counts: [1, 0, 3] },
    { bounds: [1, 2], counts: [1, 5, 0] },
  ];
  assert.deepEqual(addBuckets(one, two), { bounds: [1, 2], counts: [2, 5, 3] });
  assert.deepEqual(addBuckets(NO_BUCKETS, two), two);
});

const textsOf = (it: ClusterView): string[] =>
  it
    .answer([], 0)
    .events.map(({ level, text, times }) => `${level} ${text} ×${times}`)
    .toReversed();

test('G10: a node that is lost is said to be once, as a warning, and to have joined when it is back; its own trouble is no longer told', () => {
  const { view: it, second } = view();
  const b = summary('b', {}, { trouble: 'crash loop: reader' });
  second(summary('a'), b);
  for (let s = 0; s < 6; s++) second(summary('a'));
  assert.deepEqual(it.answer([], 0).problems, ['b is not heard any more']);
  const silent = it.answer([], 0).nodes.map(({ node, silentMs }) => [node, silentMs]);
  assert.deepEqual(silent, [
    ['a', 1_000],
    ['b', 7_000],
  ]);
  second(summary('a'), b);
  assert.deepEqual(textsOf(it), [
    'info a joined ×1',
    'info b joined ×1',
    'warn b is not heard any more ×1',
    'info b joined ×1',
  ]);
});

test('G10: a writer is said once to write the database; of what goes wrong, each new reason is told, and which worker restarted', () => {
  const { view: it, second } = view();
  const workers = (...restarts: number[]) =>
    restarts.map((count, i) => ({ name: `w${i}`, pid: 1, upMs: 1, restarts: count, sockets: 0 }));
  second(summary('a', {}, { workers: workers(1, 2) }));
  for (let s = 0; s < 3; s++) second(summary('a', {}, { writer: 'leader', workers: workers(1, 2) }));
  second(summary('a', { restarts: 1 }, { writer: 'leader', workers: workers(1, 3) }));
  for (const trouble of ['crash loop: reader', 'crash loop: writer', 'crash loop: writer'])
    second(summary('a', { restarts: 1 }, { writer: 'leader', workers: workers(1, 3), trouble }));
  assert.deepEqual(textsOf(it), [
    'info a joined ×1',
    'info a writes the database now ×1',
    'warn a: w1 restarted ×1',
    'warn a: crash loop: reader ×1',
    'warn a: crash loop: writer ×1',
  ]);
});

test('nodes are listed with the store first, then by name; where nothing was measured there is no latency, and no rate before time has passed', () => {
  const { view: it } = view();
  it.hear(summary('b', { delivered: 5 }));
  it.hear(summary('a'));
  it.hear(summary('z', {}, { role: 'store' }));
  it.hear(summary('b', { delivered: 9 }));
  it.tick();
  const { nodes, samples } = it.answer([], 0);
  assert.deepEqual(
    nodes.map(({ node }) => node),
    ['z', 'a', 'b'],
  );
  assert.equal(nodes[2]?.now.delivered, 0);
  const [sample] = samples;
  assert.deepEqual([sample?.delivery50, sample?.commit99, sample?.lag99], [null, null, null]);
});
