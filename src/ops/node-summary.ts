import type { Role } from '../config/config.ts';
import type { MetricsSnapshot } from './metrics.ts';

/* What a node reports to the other nodes once a second, for the cluster page. Pure. */

/** A histogram. `bounds` are the buckets' upper bounds, in seconds; the last bucket has none. */
export type Buckets = { readonly bounds: readonly number[]; readonly counts: readonly number[] };

/** Counts since the node started, except for the first three, which are present values. */
export type Counts = {
  readonly sockets: number;
  readonly pending: number;
  readonly memoryBytes: number;
  readonly accepted: number;
  readonly committed: number;
  readonly delivered: number;
  readonly refused: number;
  readonly restarts: number;
  readonly commitFailures: number;
  readonly cpuSeconds: number;
  readonly delivery: Buckets;
  readonly commit: Buckets;
  readonly lag: Buckets;
};

export type WorkerSummary = {
  readonly name: string;
  readonly pid: number | null;
  /** Milliseconds since it became ready; null if it is not. */
  readonly upMs: number | null;
  readonly restarts: number;
  readonly sockets: number;
};

export type NodeSummary = {
  readonly node: string;
  readonly version: string;
  readonly role: Role;
  readonly upMs: number;
  /** Why it does not do everything it should. SHUTTING_DOWN if it leaves on purpose. */
  readonly trouble?: string;
  /** What else fails, in words. This and the next are absent from nodes of an older version. */
  readonly failing?: readonly string[];
  /** Number of gateways that would serve a client now. */
  readonly readyGateways?: number;
  readonly writer: 'leader' | 'standby' | 'refused' | 'elsewhere';
  readonly workers: readonly WorkerSummary[];
  readonly counts: Counts;
};

/** The trouble of a node that leaves on purpose. The others don't miss it then. */
export const SHUTTING_DOWN = 'this node is shutting down';

export const NO_BUCKETS: Buckets = { bounds: [], counts: [] };

/** The first problem of a node; undefined if there is none. */
export const problemOf = ({
  trouble,
  failing,
}: Pick<NodeSummary, 'trouble' | 'failing'>): string | undefined => trouble ?? failing?.[0];

/** Sums up what a node's workers have counted. */
export function countsOf(snapshots: readonly MetricsSnapshot[]): Counts {
  const total = (name: string): number => sumOf(snapshots, name);
  return {
    sockets: total('parley_sockets'),
    pending: total('parley_commands_pending'),
    memoryBytes: total('parley_process_resident_bytes'),
    accepted: total('parley_messages_accepted_total'),
    committed: total('parley_messages_committed_total'),
    delivered: total('parley_messages_delivered_total'),
    refused: total('parley_refusals_total'),
    restarts: total('parley_worker_restarts_total'),
    commitFailures: total('parley_commit_failures_total'),
    cpuSeconds: total('parley_process_cpu_seconds_total'),
    delivery: bucketsOf(snapshots, 'parley_delivery_seconds'),
    commit: bucketsOf(snapshots, 'parley_commit_seconds'),
    lag: bucketsOf(snapshots, 'parley_bus_lag_seconds'),
  };
}

/** One metric, summed over processes and labels; 0 if nobody has it. */
export function sumOf(snapshots: readonly MetricsSnapshot[], name: string): number {
  let sum = 0;
  for (const snapshot of snapshots) {
    for (const metric of snapshot) {
      if (metric.name === name) for (const { value } of metric.values) sum += value;
    }
  }
  return sum;
}

function bucketsOf(snapshots: readonly MetricsSnapshot[], name: string): Buckets {
  let sum = NO_BUCKETS;
  for (const snapshot of snapshots) {
    for (const metric of snapshot) {
      if (metric.name !== name) continue;
      const bounds: number[] = [];
      const counts: number[] = [];
      let below = 0;
      for (const { metricName, labels, value } of metric.values) {
        if (metricName !== `${name}_bucket`) continue;
        const bound = Number(labels['le']);
        if (Number.isFinite(bound)) bounds.push(bound);
        // Prometheus's buckets are cumulative.
        counts.push(value - below);
        below = value;
      }
      sum = addBuckets(sum, { bounds, counts });
    }
  }
  return sum;
}

export function addBuckets(a: Buckets, b: Buckets): Buckets {
  if (a.counts.length === 0) return b;
  return { bounds: a.bounds, counts: a.counts.map((count, i) => count + (b.counts[i] ?? 0)) };
}

/** What was added since `before`. */
export function bucketsSince(now: Buckets, before: Buckets): Buckets {
  return { bounds: now.bounds, counts: now.counts.map((count, i) => count - (before.counts[i] ?? 0)) };
}

/** The value below which `share` of the observations are, in the unit of the bounds; null if there are none. */
export function quantile({ bounds, counts }: Buckets, share: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let rank = share * total;
  for (const [i, count] of counts.entries()) {
    const low = i === 0 ? 0 : (bounds[i - 1] as number);
    // Above the last bound, nothing more is known about the values.
    if (i === bounds.length) return low;
    if (rank <= count && count > 0) return low + ((bounds[i] as number) - low) * (rank / count);
    rank -= count;
  }
  return bounds.at(-1) ?? null;
}
