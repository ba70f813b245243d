import { systemClock } from '../base/clock.ts';
import { CHANNELS } from '../bus/channels.ts';
import type { Bus } from '../core/bus.ts';
import { decodeBeat } from '../core/events.ts';
import { BeatMonitor } from '../gateway/beat-monitor.ts';
import { type ClusterAnswer, ClusterView, type NodeView } from '../ops/cluster-view.ts';
import { countsOf, type NodeSummary } from '../ops/node-summary.ts';
import { type AgreedSettings, disagreements } from './agreed-settings.ts';

const TELL_EVERY_MS = 1_000;
const NO_COUNTS = countsOf([]);

/** `settings`: from nodes with gateways; absent from older versions. */
type WithSettings = { readonly settings?: AgreedSettings | undefined };

/** A node's part in the cluster page: publishes its own state, and collects the others'. */
export class ClusterReports {
  readonly #node: string;
  readonly #bus: Bus;
  readonly #self: () => Promise<NodeSummary & WithSettings>;
  readonly #view = new ClusterView(systemClock);
  readonly #beats = new BeatMonitor(systemClock);
  /** The newest summary, if it is not published yet. */
  #unpublished: string | undefined;
  #publishing = false;

  /** @param self this node's present state */
  constructor(node: string, bus: Bus, self: () => Promise<NodeSummary & WithSettings>) {
    this.#node = node;
    this.#bus = bus;
    this.#self = self;
  }

  /** Does not wait for the bus: the page matters most when that is unavailable. */
  async start(): Promise<void> {
    const listen = (channel: string, listener: (payload: string) => void): void => {
      this.#bus.subscribe(channel, listener).catch(() => {}); // It is retried when the bus is back.
    };
    listen(CHANNELS.nodes, (payload) => {
      const summary = JSON.parse(payload) as NodeSummary;
      if (!Array.isArray(summary.workers) || summary.counts === undefined) throw new TypeError('no summary');
      if (summary.node === this.#node) return;
      // Another version may not count everything that this one does.
      this.#view.hear({ ...summary, counts: { ...NO_COUNTS, ...summary.counts } });
    });
    listen(CHANNELS.beat, (payload) => {
      const beat = decodeBeat(payload);
      if (beat !== undefined) this.#beats.hear(beat);
    });
    setInterval(() => void this.tell(), TELL_EVERY_MS);
    await this.tell();
  }

  answer(after: number): ClusterAnswer {
    const trouble = this.#beats.trouble;
    const answer = this.#view.answer(trouble === undefined ? [] : [trouble], after);
    const heard = answer.nodes.map(({ settings, ...node }: NodeView & WithSettings) => ({ settings, node }));
    const gateways = heard.flatMap(({ settings, node }) =>
      // A later version may have other settings.
      Array.isArray(settings?.secrets) && !node.lost ? [{ ...settings, node: node.node }] : [],
    );
    return {
      ...answer,
      problems: [...answer.problems, ...disagreements(gateways)],
      nodes: heard.map(({ node }) => node),
    };
  }

  /** Called once a second, and when this node has urgent news. */
  async tell(): Promise<void> {
    const summary = await this.#self();
    this.#view.hear(summary);
    this.#view.tick();
    this.#unpublished = JSON.stringify(summary);
    // Not awaited: while the bus is unavailable, this node's own page continues.
    if (!this.#publishing) void this.#publish();
  }

  /** One at a time. What was told meanwhile may be the last that this node tells, so the newest of it follows. */
  async #publish(): Promise<void> {
    this.#publishing = true;
    while (this.#unpublished !== undefined) {
      const payload = this.#unpublished;
      this.#unpublished = undefined;
      await this.#bus.publish([{ channel: CHANNELS.nodes, payload }]).catch(() => {});
    }
    this.#publishing = false;
  }
}
