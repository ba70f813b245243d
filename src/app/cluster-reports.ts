import { systemClock } from '../base/clock.ts';
import { CHANNELS } from '../bus/channels.ts';
import type { Bus } from '../core/bus.ts';
import { decodeBeat } from '../core/events.ts';
import { BeatMonitor } from '../gateway/beat-monitor.ts';
import { type ClusterAnswer, ClusterView, type NodeView } from '../ops/cluster-view.ts';
import type { NodeSummary } from '../ops/node-summary.ts';
import { disagreements, type GatewaySettings } from './gateway-settings.ts';

const TELL_EVERY_MS = 1_000;

/** `settings`: of a node with gateways; absent from nodes of an older version. */
type WithSettings = { readonly settings?: GatewaySettings | undefined };

/** A node's part in the cluster page: tells the others how it is, and keeps what they tell. */
export class ClusterReports {
  readonly #node: string;
  readonly #bus: Bus;
  readonly #self: () => Promise<NodeSummary & WithSettings>;
  readonly #view = new ClusterView(systemClock);
  readonly #beats = new BeatMonitor(systemClock);
  #publishing = false;

  /** @param self what the node of this name says of itself now */
  constructor(node: string, bus: Bus, self: () => Promise<NodeSummary & WithSettings>) {
    this.#node = node;
    this.#bus = bus;
    this.#self = self;
  }

  /** Does not wait for the bus: the page has most to tell when that is away. */
  async start(): Promise<void> {
    const listen = (channel: string, listener: (payload: string) => void): void => {
      this.#bus.subscribe(channel, listener).catch(() => {}); // It is made again when the bus is back.
    };
    listen(CHANNELS.nodes, (payload) => {
      const summary = JSON.parse(payload) as NodeSummary;
      if (!Array.isArray(summary.workers) || summary.counts === undefined) throw new TypeError('no summary');
      if (summary.node !== this.#node) this.#view.hear(summary);
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
      // A later version may have others.
      Array.isArray(settings?.secrets) && !node.lost ? [{ ...settings, node: node.node }] : [],
    );
    return {
      ...answer,
      problems: [...answer.problems, ...disagreements(gateways)],
      nodes: heard.map(({ node }) => node),
    };
  }

  /** Once a second, and when this node has news that must not wait. */
  async tell(): Promise<void> {
    const summary = await this.#self();
    this.#view.hear(summary);
    this.#view.tick();
    // Not awaited: while the bus is away, this node's own page goes on, and one summary waits.
    if (this.#publishing) return;
    this.#publishing = true;
    this.#bus
      .publish([{ channel: CHANNELS.nodes, payload: JSON.stringify(summary) }])
      .catch(() => {})
      .finally(() => {
        this.#publishing = false;
      });
  }
}
