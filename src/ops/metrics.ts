import type { MetricObjectWithValues, MetricValueWithName } from 'prom-client';
import AggregatorRegistry from 'prom-client/lib/cluster.js';
import Counter from 'prom-client/lib/counter.js';
import Gauge from 'prom-client/lib/gauge.js';
import Histogram from 'prom-client/lib/histogram.js';
import Registry from 'prom-client/lib/registry.js';
import type { WorkerRole } from '../config/worker.ts';
import { ERRORS } from '../contract/errors.ts';

/*
 * Every metric, by the process that counts it. Each worker has its own registry and sends it to its primary, which publishes the
 * sum (MetricsSum). Never a user id in a label.
 */

export type MetricsSnapshot = MetricObjectWithValues<MetricValueWithName<string>>[];

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

class ProcessMetrics {
  readonly registry = new Registry();

  constructor(role: string) {
    let before = process.cpuUsage();
    const cpu: Counter<'role'> = new Counter({
      name: 'parley_process_cpu_seconds_total',
      help: 'CPU time used, by role of the process',
      labelNames: ['role'],
      registers: [this.registry],
      collect() {
        const now = process.cpuUsage();
        cpu.inc({ role }, (now.user + now.system - before.user - before.system) / 1e6);
        before = now;
      },
    });
    const memory: Gauge<'role'> = new Gauge({
      name: 'parley_process_resident_bytes',
      help: 'Resident memory, by role of the process',
      labelNames: ['role'],
      registers: [this.registry],
      collect() {
        try {
          memory.set({ role }, process.memoryUsage.rss());
        } catch {
          // It is read from a file, and sockets may use up all descriptors. The last known value stays.
        }
      },
    });
  }

  async snapshot(): Promise<MetricsSnapshot> {
    return this.registry.getMetricsAsJSON();
  }

  protected counter<Label extends string>(
    name: string,
    help: string,
    ...labelNames: Label[]
  ): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  protected histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name, help, buckets, registers: [this.registry] });
  }

  /** A gauge that is computed when it is read. */
  protected gauge(name: string, help: string, value: () => number): void {
    const it: Gauge = new Gauge({ name, help, registers: [this.registry], collect: () => it.set(value()) });
  }
}

export class GatewayMetrics extends ProcessMetrics {
  readonly accepted = this.counter('parley_messages_accepted_total', 'Sends taken in from sockets');
  readonly delivered = this.counter(
    'parley_messages_delivered_total',
    'Messages written to sockets as they came, without those of catch-up pages',
  );
  readonly refused = this.counter(
    'parley_refusals_total',
    'Requests and frames answered with an error, by its code',
    'code',
  );
  readonly overflows = this.counter('parley_overflows_total', 'Bounds that were reached, by kind', 'kind');
  readonly repairs = this.counter('parley_repairs_total', 'Holes in a feed that were filled from the store');
  readonly repaired = this.counter(
    'parley_repaired_messages_total',
    'Messages that came from the store because their event was lost',
  );
  readonly logins = this.counter('parley_logins_total', 'Logins, by result', 'result');
  readonly opened = this.counter('parley_sockets_opened_total', 'Sockets whose user was let in');
  readonly delivery = this.histogram(
    'parley_delivery_seconds',
    'From taking a send in to writing it to a socket of its receiver or sender; the oldest of a batch counts',
    SECONDS,
  );

  constructor(live: { sockets(): number; unsettled(): number }) {
    super('gateway');
    // A rate needs a first value: without these, the first failed login would not show as one.
    for (const result of ['ok', 'failed']) this.logins.inc({ result }, 0);
    for (const code of Object.keys(ERRORS)) this.refused.inc({ code }, 0);
    for (const kind of ['unsent', 'untaken']) this.overflows.inc({ kind }, 0);
    this.gauge('parley_sockets', 'Open sockets, whether their user was let in yet or not', live.sockets);
    this.gauge(
      'parley_commands_pending',
      'Commands handed to the writer and not answered yet',
      live.unsettled,
    );
  }
}

export class WriterMetrics extends ProcessMetrics {
  readonly committed = this.counter('parley_messages_committed_total', 'Messages committed');
  readonly commits = this.histogram(
    'parley_commit_seconds',
    'One transaction, the wait for the disk included',
    SECONDS,
  );
  readonly batch = this.histogram(
    'parley_commit_commands',
    'Commands in one transaction',
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000],
  );
  readonly failures = this.counter('parley_commit_failures_total', 'Transactions that failed');
  readonly lag = this.histogram(
    'parley_bus_lag_seconds',
    'From a gateway taking a command in to its commit',
    SECONDS,
  );

  constructor(live: { walBytes(): number }) {
    super('writer');
    this.gauge(
      'parley_wal_bytes',
      "Length of the database's write-ahead log; it keeps the space it once took",
      live.walBytes,
    );
  }
}

export class ReaderMetrics extends ProcessMetrics {
  readonly queries = this.counter('parley_queries_total', 'Queries answered');
  readonly time = this.histogram('parley_query_seconds', 'One query', SECONDS);

  constructor() {
    super('reader');
  }
}

export class PrimaryMetrics extends ProcessMetrics {
  readonly restarts = this.counter(
    'parley_worker_restarts_total',
    'Workers that ended and were replaced, by role',
    'role',
  );

  constructor(
    build: { version: string; node: string },
    live: {
      workers(): Readonly<Record<WorkerRole, number>>;
      leads(): boolean;
      ready(): boolean;
      redisUp(): boolean;
    },
  ) {
    super('primary');
    for (const role of ['gateway', 'writer', 'reader']) this.restarts.inc({ role }, 0);
    new Gauge({
      name: 'parley_build_info',
      help: 'Always 1',
      labelNames: ['version', 'node'],
      registers: [this.registry],
    }).set(build, 1);
    const ready: Gauge<'role'> = new Gauge({
      name: 'parley_workers',
      help: 'Workers that do their work, by role',
      labelNames: ['role'],
      registers: [this.registry],
      collect: () => {
        for (const [role, count] of Object.entries(live.workers())) ready.set({ role }, count);
      },
    });
    this.gauge(
      'parley_writer_leads',
      '1 where this node writes the database and holds the lease; 1 in sum over a cluster that works',
      () => Number(live.leads()),
    );
    this.gauge('parley_ready', '1 while this node does all it is meant to', () => Number(live.ready()));
    this.gauge(
      'parley_redis_up',
      '1 while Redis does what this node asks of it, and where there is none',
      () => Number(live.redisUp()),
    );
  }
}

/**
 * The last digit of a sum of fractions depends on the order of its terms, and a counter that falls by one such digit counts as
 * restarted. Counted values have nine decimals at most, so the sum is rounded to that.
 */
const LONG_FRACTION = / (\d+\.\d{10,}(?:e-?\d+)?)$/gm;

/** The sum over all workers that a node has had. A dead worker's counts stay in it, so that counters never go down. */
export class MetricsSum<Worker extends object> {
  readonly #living = new Map<Worker, MetricsSnapshot>();
  #departed: MetricsSnapshot = [];
  #departing: Promise<void> = Promise.resolve();

  /** Sets what a worker has counted so far. */
  update(worker: Worker, snapshot: MetricsSnapshot): void {
    this.#living.set(worker, snapshot);
  }

  /** The worker has ended. Resolves when its counters are in the sum for good. Its gauges are dropped. */
  departed(worker: Worker): Promise<void> {
    this.#departing = this.#departing.then(async () => {
      const last = this.#living.get(worker);
      if (last === undefined) return;
      // A gauge describes the present, and the worker has none any more.
      // The library's types call `type` a number, but it is a string.
      const lasting = last.filter(({ type }) => String(type) !== 'gauge');
      this.#living.set(worker, lasting);
      const sum = await AggregatorRegistry.aggregate([this.#departed, lasting]).getMetricsAsJSON();
      // In one step, so that concurrent readers see each count once.
      this.#departed = sum;
      this.#living.delete(worker);
    });
    return this.#departing;
  }

  /** What each living worker has counted so far. */
  get living(): ReadonlyMap<Worker, MetricsSnapshot> {
    return this.#living;
  }

  snapshots(): MetricsSnapshot[] {
    return [this.#departed, ...this.#living.values()];
  }

  /** Everything in Prometheus's format. */
  async text(own: MetricsSnapshot): Promise<string> {
    const sum = await AggregatorRegistry.aggregate([...this.snapshots(), own]).metrics();
    return sum.replace(LONG_FRACTION, (_, value: string) => ` ${Number(Number(value).toFixed(9))}`);
  }
}
