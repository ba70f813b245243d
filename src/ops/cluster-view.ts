import type { Clock } from '../base/clock.ts';
import {
  addBuckets,
  type Buckets,
  bucketsSince,
  type Counts,
  NO_BUCKETS,
  type NodeSummary,
  problemOf,
  quantile,
  SHUTTING_DOWN,
} from './node-summary.ts';

/** A node counts as lost after this much silence, in milliseconds. */
const SILENT_MS = 3_500;
/** How long a lost node is listed if it did not say that it leaves, in milliseconds; and how many of them. */
const FORGET_MS = 3_600_000;
const LOST_MAX = 50;
/** History of the page: ten minutes, one sample a second. */
export const SAMPLES_MAX = 600;
const EVENTS_MAX = 60;
/** Rates are taken over this many summaries: workers add to them once a second, each in its own rhythm. */
const RATE_OVER = 3;

/** One second of the cluster, or of a node. Rates are per second, latencies in milliseconds (null: nothing to measure). */
export type Sample = {
  /** Unix milliseconds, by the clock of the node that shows the page. */
  readonly at: number;
  readonly sockets: number;
  readonly pending: number;
  readonly accepted: number;
  readonly committed: number;
  readonly delivered: number;
  readonly refused: number;
  /** Processors in use. */
  readonly cpu: number;
  readonly memoryBytes: number;
  readonly delivery50: number | null;
  readonly delivery99: number | null;
  readonly commit99: number | null;
  readonly lag99: number | null;
};

export type NodeView = Omit<NodeSummary, 'counts'> & {
  readonly lost: boolean;
  /** Milliseconds since it was last heard. */
  readonly silentMs: number;
  readonly now: Sample;
  readonly restarts: number;
};

export type ClusterEvent = {
  /** As in a sample. For an event that was repeated in a row, the last time. */
  readonly at: number;
  readonly level: 'info' | 'warn';
  readonly text: string;
  /** Repetitions in a row. Otherwise, what a worker does every five seconds would displace what led to it. */
  readonly times: number;
};

export type ClusterAnswer = {
  readonly at: number;
  /** Why the cluster does not do everything it should; empty if it does. */
  readonly problems: readonly string[];
  readonly nodes: readonly NodeView[];
  /** Oldest first. */
  readonly samples: readonly Sample[];
  /** Newest first. */
  readonly events: readonly ClusterEvent[];
};

type Change = {
  readonly sample: Sample;
  readonly delivery: Buckets;
  readonly commit: Buckets;
  readonly lag: Buckets;
};
type Known = {
  summary: NodeSummary;
  heardAt: number;
  /** Its earlier counts, oldest first. */
  past: readonly { readonly at: number; readonly counts: Counts }[];
  change: Change;
  lost: boolean;
};

/** Combines what the nodes of a cluster report about themselves. Pure but for its clock. */
export class ClusterView {
  readonly #clock: Clock;
  readonly #known = new Map<string, Known>();
  readonly #samples: Sample[] = [];
  readonly #events: ClusterEvent[] = [];
  #leader: string | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  hear(summary: NodeSummary): void {
    const now = this.#clock.steady();
    const known = this.#known.get(summary.node);
    if (known === undefined || known.lost) this.#say('info', `${summary.node} joined`);
    else this.#compare(known.summary, summary);
    const past = known?.past ?? [];
    const since = past[0];
    const change = changeOf(since?.counts, summary.counts, this.#clock.now(), now - (since?.at ?? now));
    this.#known.set(summary.node, {
      summary,
      heardAt: now,
      past: [...past, { at: now, counts: summary.counts }].slice(-RATE_OVER),
      change,
      lost: false,
    });
    if (summary.writer === 'leader' && this.#leader !== summary.node) {
      if (this.#leader !== undefined || this.#samples.length > 0)
        this.#say('info', `${summary.node} writes the database now`);
      this.#leader = summary.node;
    }
  }

  /** Ends a second: turns what was heard into a sample of the cluster. */
  tick(): void {
    const now = this.#clock.steady();
    for (const [node, known] of this.#known) {
      const silentMs = now - known.heardAt;
      if (silentMs > FORGET_MS) this.#known.delete(node);
      if (known.lost || silentMs <= SILENT_MS) continue;
      known.lost = true;
      const left = known.summary.trouble === SHUTTING_DOWN;
      this.#say(left ? 'info' : 'warn', `${node} ${left ? 'has left' : 'is not heard any more'}`);
      if (left) this.#known.delete(node);
    }
    const lost = [...this.#known].filter(([, known]) => known.lost);
    lost.sort(([, a], [, b]) => b.heardAt - a.heardAt);
    for (const [node] of lost.slice(LOST_MAX)) this.#known.delete(node);
    const at = this.#clock.now();
    // If the clock was set back, later samples no longer fit the order.
    while ((this.#samples.at(-1)?.at ?? 0) >= at) this.#samples.pop();
    const living = [...this.#known.values()].filter(({ lost }) => !lost);
    this.#samples.push(
      sum(
        living.map(({ change }) => change),
        at,
      ),
    );
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
  }

  /**
   * @param problems what is known to be wrong beyond the nodes' reports
   * @param after omits samples up to this `at`. If it is in the future, as after a clock was set back, none is omitted.
   */
  answer(problems: readonly string[], after: number): ClusterAnswer {
    const now = this.#clock.steady();
    const nodes = [...this.#known.values()].map(({ summary, heardAt, change, lost }) => {
      const { counts, ...rest } = summary;
      return { ...rest, lost, silentMs: now - heardAt, now: change.sample, restarts: counts.restarts };
    });
    nodes.sort((a, b) => rank(a) - rank(b) || a.node.localeCompare(b.node));
    // What goes wrong now comes before nodes that are missing, perhaps for an hour.
    const known = [
      ...nodes
        .filter(({ lost }) => !lost)
        .flatMap(({ node, trouble, failing = [] }) =>
          [...(trouble === undefined ? [] : [trouble]), ...failing].map((words) => `${node}: ${words}`),
        ),
      ...nodes.filter(({ lost }) => lost).map(({ node }) => `${node} is not heard any more`),
    ];
    const ready = nodes.map(({ lost, readyGateways = 1 }) => (lost ? 0 : readyGateways));
    if (ready.every((gateways) => gateways === 0))
      known.unshift('no gateway is ready: clients are not served');
    const at = this.#clock.now();
    return {
      at,
      problems: [...problems, ...known],
      nodes,
      samples: after > at ? this.#samples : this.#samples.filter((sample) => sample.at > after),
      events: this.#events.toReversed(),
    };
  }

  #compare(before: NodeSummary, now: NodeSummary): void {
    const restarts = now.counts.restarts - before.counts.restarts;
    if (restarts > 0) {
      const again = now.workers.filter(
        ({ name, restarts: count }) => count > (before.workers.find((w) => w.name === name)?.restarts ?? 0),
      );
      this.#say('warn', `${now.node}: ${again.map(({ name }) => name).join(', ')} restarted`);
    }
    const [problem, former] = [problemOf(now), problemOf(before)];
    // The text of a failure includes seconds, which change, so only its beginning and its end are events.
    if (now.trouble !== before.trouble || (problem === undefined) !== (former === undefined))
      this.#say(problem ? 'warn' : 'info', `${now.node}: ${problem ?? 'ready'}`);
    const failures = now.counts.commitFailures - before.counts.commitFailures;
    if (failures > 0 && before.counts.commitFailures === 0) this.#say('warn', `${now.node}: commits fail`);
  }

  #say(level: ClusterEvent['level'], text: string): void {
    const newest = this.#events.at(-1);
    const again = newest?.level === level && newest.text === text;
    if (again) this.#events.pop();
    this.#events.push({ at: this.#clock.now(), level, text, times: again ? newest.times + 1 : 1 });
    if (this.#events.length > EVENTS_MAX) this.#events.shift();
  }
}

const rank = ({ role }: Pick<NodeSummary, 'role'>): number => ['store', 'all', 'gateway'].indexOf(role);

const ms = (seconds: number | null): number | null => (seconds === null ? null : seconds * 1000);

function latencies(delivery: Buckets, commit: Buckets, lag: Buckets) {
  return {
    delivery50: ms(quantile(delivery, 0.5)),
    delivery99: ms(quantile(delivery, 0.99)),
    commit99: ms(quantile(commit, 0.99)),
    lag99: ms(quantile(lag, 0.99)),
  };
}

function changeOf(before: Counts | undefined, now: Counts, at: number, elapsedMs: number): Change {
  const rate = (name: 'accepted' | 'committed' | 'delivered' | 'refused' | 'cpuSeconds'): number =>
    before === undefined || elapsedMs <= 0 ? 0 : Math.max(0, now[name] - before[name]) / (elapsedMs / 1000);
  const since = (name: 'delivery' | 'commit' | 'lag'): Buckets =>
    before === undefined ? NO_BUCKETS : bucketsSince(now[name], before[name]);
  const [delivery, commit, lag] = [since('delivery'), since('commit'), since('lag')];
  const sample: Sample = {
    at,
    sockets: now.sockets,
    pending: now.pending,
    accepted: rate('accepted'),
    committed: rate('committed'),
    delivered: rate('delivered'),
    refused: rate('refused'),
    cpu: rate('cpuSeconds'),
    memoryBytes: now.memoryBytes,
    ...latencies(delivery, commit, lag),
  };
  return { sample, delivery, commit, lag };
}

function sum(changes: readonly Change[], at: number): Sample {
  const total = (value: (sample: Sample) => number): number =>
    changes.reduce((soFar, { sample }) => soFar + value(sample), 0);
  const merged = (value: (change: Change) => Buckets): Buckets =>
    changes.map(value).reduce(addBuckets, NO_BUCKETS);
  return {
    at,
    sockets: total((s) => s.sockets),
    pending: total((s) => s.pending),
    accepted: total((s) => s.accepted),
    committed: total((s) => s.committed),
    delivered: total((s) => s.delivered),
    refused: total((s) => s.refused),
    cpu: total((s) => s.cpu),
    memoryBytes: total((s) => s.memoryBytes),
    ...latencies(
      merged((c) => c.delivery),
      merged((c) => c.commit),
      merged((c) => c.lag),
    ),
  };
}
