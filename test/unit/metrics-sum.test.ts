import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counter, Gauge, Registry } from 'prom-client';
import { ERRORS } from '../../src/contract/errors.ts';
import { GatewayMetrics, MetricsSum } from '../../src/ops/metrics.ts';

/** What a worker that counted so many seconds tells. */
async function worker(seconds: number) {
  const registry = new Registry();
  new Counter({ name: 'seconds_total', help: 'seconds', registers: [registry] }).inc(seconds);
  return registry.getMetricsAsJSON();
}

const secondsIn = (text: string): number => Number(text.match(/^seconds_total (\S+)$/m)?.[1]);

test('a counter does not fall by the last digit of a sum when a worker departs', async () => {
  // 0.1 + 0.2 + 0.3 and 0.2 + 0.3 + 0.1 are not the same number.
  const sum = new MetricsSum();
  const workers = [{}, {}, {}];
  for (const [i, seconds] of [0.1, 0.2, 0.3].entries())
    sum.update(workers[i] as object, await worker(seconds));
  const before = await sum.text([]);
  for (const gone of workers) {
    await sum.departed(gone);
    assert.equal(secondsIn(await sum.text([])), secondsIn(before));
  }
  assert.equal(secondsIn(before), 0.6);
});

test('what a worker counted stays when it departs, once; what it has is gone at once; one that told nothing departs, too', async () => {
  const registry = new Registry();
  new Counter({ name: 'seconds_total', help: 'seconds', registers: [registry] }).inc(5);
  new Gauge({ name: 'sockets', help: 'sockets', registers: [registry] }).set(3);
  const sum = new MetricsSum();
  const [gone, silent] = [{}, {}];
  sum.update(gone, await registry.getMetricsAsJSON());
  await Promise.all([gone, silent, gone].map((it) => sum.departed(it)));
  const text = await sum.text([]);
  assert.equal(secondsIn(text), 5);
  assert.doesNotMatch(text, /^sockets /m);
  assert.deepEqual([...sum.living], []);
});

test('every code of a refusal and every kind of overflow is 0 from the start, so that the first ones show as a rate', async () => {
  const { registry } = new GatewayMetrics({ sockets: () => 0, unsettled: () => 0 });
  const text = await registry.metrics();
  const codes = [...text.matchAll(/^parley_refusals_total\{code="(\w+)"\} 0$/gm)].map(([, code]) => code);
  assert.deepEqual(codes, Object.keys(ERRORS));
  assert.match(text, /^parley_overflows_total\{kind="unsent"\} 0$/m);
});
