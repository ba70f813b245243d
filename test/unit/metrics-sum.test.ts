import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counter, Gauge, Registry } from 'prom-client';
import { ERRORS } from '../../src/contract/errors.ts';
import {
  GatewayMetrics,
  MetricsSum,
  PrimaryMetrics,
  ReaderMetrics,
  WriterMetrics,
} from '../../src/ops/metrics.ts';

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

const SAMPLE = /^(parley_\w+)(?:\{.*\})? (\S+)$/gm;

/** What a process's metrics say, the last label of a name for all. */
const saidBy = async ({
  registry,
}: {
  registry: { metrics(): Promise<string> };
}): Promise<Map<string, number>> =>
  new Map(
    [...(await registry.metrics()).matchAll(SAMPLE)].map(([, name, value]) => [
      name as string,
      Number(value),
    ]),
  );

test('the CPU seconds and the memory of a process are what it has used, however often they are read', async () => {
  const used = (): number => Object.values(process.cpuUsage()).reduce((sum, us) => sum + us, 0) / 1e6;
  const before = used();
  const metrics = new ReaderMetrics();
  const begun = used();
  let last = new Map<string, number>();
  for (let i = 0; i < 3; i++) {
    const until = used() + 0.02;
    while (used() < until);
    last = await saidBy(metrics);
  }
  const seconds = last.get('parley_process_cpu_seconds_total') ?? 0;
  assert.ok(seconds >= 0.06 && seconds <= used() - before + 1e-6, `${seconds} s of ${used() - begun} s`);
  const bytes = last.get('parley_process_resident_bytes') ?? 0;
  assert.ok(bytes > 1e6 && bytes < 1e12, `${bytes} bytes`);
});

test('a gauge tells what there is when it is read: sockets, commands, the log, workers, who leads, what is well', async () => {
  const now = { sockets: 0, unsettled: 0, wal: 0, gateways: 0, well: false };
  const well = (): boolean => now.well;
  const all = [
    new GatewayMetrics({ sockets: () => now.sockets, unsettled: () => now.unsettled }),
    new WriterMetrics({ walBytes: () => now.wal }),
    new PrimaryMetrics(
      { version: '1.2.3', node: 'v24' },
      {
        workers: () => ({ gateway: now.gateways, writer: 1, reader: 1 }),
        leads: well,
        ready: () => !now.well,
        redisUp: well,
      },
    ),
  ];
  const text = async (): Promise<string> =>
    (await Promise.all(all.map(({ registry }) => registry.metrics()))).join('\n');
  assert.match(await text(), /^parley_sockets 0$/m);
  Object.assign(now, { sockets: 3, unsettled: 4, wal: 5, gateways: 6, well: true });
  const said = (await text()).split('\n');
  const expected = [
    'parley_sockets 3',
    'parley_commands_pending 4',
    'parley_wal_bytes 5',
    'parley_workers{role="gateway"} 6',
    'parley_workers{role="writer"} 1',
    'parley_writer_leads 1',
    'parley_ready 0',
    'parley_redis_up 1',
    'parley_build_info{version="1.2.3",node="v24"} 1',
    'parley_logins_total{result="failed"} 0',
    'parley_worker_restarts_total{role="reader"} 0',
  ];
  assert.deepEqual(
    expected.filter((line) => !said.includes(line)),
    [],
  );
});
