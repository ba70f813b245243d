import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../support/wait.ts';
import type { Cluster } from './cluster.ts';
import type { Armed, FaultKind } from './fault-kind.ts';
import type { History } from './history.ts';
import type { Load } from './load.ts';
import type { Random } from './random.ts';
import type { FaultRecord } from './recovery.ts';
import { expectedMs, type Slot, schedule } from './schedule.ts';
import type { Readiness } from './truthful.ts';

export type Plan = {
  kinds: readonly FaultKind[];
  /** Faults to do; when there is a time limit as well, whichever comes first ends the schedule. */
  faults: number;
  messages: number;
  limitMs: number | undefined;
};

export type Say = (line: string) => void;

/** Before the first fault. */
const WARM_UP_MS = 2_000;
const SAMPLE_EVERY_MS = 500;
/** As fast as the load is ever made, so that load and server share a small machine. */
const MOST_PER_SECOND = 800;

/** Does the faults of a plan to a cluster under load, one slot after the other. */
export class Runner {
  readonly faults: FaultRecord[] = [];
  readonly readiness: Readiness[] = [];
  /** Faults after which the system was not well again in good time. */
  readonly complaints: string[] = [];
  readonly #cluster: Cluster;
  readonly #load: Load;
  readonly #history: History;
  readonly #random: Random;
  readonly #say: Say;
  readonly #patienceMs: number;
  #sampler: NodeJS.Timeout | undefined;

  constructor(parts: {
    cluster: Cluster;
    load: Load;
    history: History;
    random: Random;
    say: Say;
    /** How long after a fault the system may take to be well again: far more than any recovery takes on an idle machine. */
    patienceMs: number;
  }) {
    this.#cluster = parts.cluster;
    this.#load = parts.load;
    this.#history = parts.history;
    this.#random = parts.random;
    this.#say = parts.say;
    this.#patienceMs = parts.patienceMs;
  }

  async run(plan: Plan, aborted: () => boolean): Promise<void> {
    const began = performance.now();
    this.#sampler = setInterval(() => this.#sample(), SAMPLE_EVERY_MS);
    try {
      await this.#aimAndWait(plan, began, WARM_UP_MS);
      const slots = schedule(plan.kinds, this.#random.fork('schedule'));
      const over = (): boolean =>
        aborted() ||
        this.faults.length >= plan.faults ||
        (plan.limitMs !== undefined && performance.now() - began > plan.limitMs);
      while (!over()) await this.#slot(slots.next().value, plan, began);
      await this.#restOfTheLoad(plan, aborted);
    } finally {
      clearInterval(this.#sampler);
    }
  }

  async #slot(slot: Slot, plan: Plan, began: number): Promise<void> {
    const kinds = slot.kinds.slice(0, plan.faults - this.faults.length);
    await Promise.all(kinds.map((kind, i) => this.#one(kind, i * slot.staggerMs, kinds.length > 1)));
    if (!slot.hasty) await this.#untilWell();
    await this.#aimAndWait(plan, began, slot.restMs);
  }

  async #one(kind: FaultKind, delayMs: number, combined: boolean): Promise<void> {
    await sleep(delayMs);
    const random = this.#random.fork(`fault ${this.faults.length}`);
    const armed = kind.arm({ cluster: this.#cluster, load: this.#load, random });
    if (armed === undefined) {
      this.#say(`           ${kind.name}: nothing to hit`);
      await sleep(500);
      return;
    }
    const { target, measureFrom, path, holdMs } = armed;
    const at = this.#history.now();
    const record: FaultRecord = {
      name: kind.name,
      target,
      injectedAt: at,
      healedAt: at,
      measureFrom,
      path,
      combined,
      recoveryMs: null,
      servedMs: null,
      replacedMs: null,
    };
    this.faults.push(record);
    const number = String(this.faults.length).padStart(3);
    this.#say(`${clockOf(at)} ${number} ${kind.name}: ${target}${combined ? ' (combined)' : ''}`);
    const injecting = armed.inject();
    const watching = this.#watchReturn(armed, record);
    await injecting;
    await sleep(holdMs);
    await armed.heal?.();
    record.healedAt = this.#history.now();
    await watching;
  }

  async #watchReturn({ returned }: Armed, record: FaultRecord): Promise<void> {
    if (returned === undefined) return;
    if (await until(returned, 10_000)) record.replacedMs = this.#history.now() - record.injectedAt;
  }

  /** Until every node says it is ready and the sends that piled up have got their answers. */
  async #untilWell(): Promise<void> {
    const end = performance.now() + this.#patienceMs;
    for (const node of this.#cluster.nodes) {
      if (!(await node.untilReady(Math.max(0, end - performance.now())))) {
        this.#complain(`node ${node.number} is not ready`);
      }
    }
    const few = (): boolean => this.#load.open < 50;
    if (!(await until(few, Math.max(0, end - performance.now())))) {
      this.#complain(`${this.#load.open} sends have no outcome`);
    }
  }

  #complain(what: string): void {
    const last = this.faults.at(-1);
    const line = `${what}, ${this.#patienceMs / 1000} s after fault ${this.faults.length}, ${last?.name} (${last?.target})`;
    this.complaints.push(line);
    this.#say(`${clockOf(this.#history.now())}   ! ${line}`);
  }

  /** Spreads what is left of the messages over what is left of the schedule. */
  async #aimAndWait(plan: Plan, began: number, ms: number): Promise<void> {
    const left = plan.messages - this.#load.created;
    const byFaults = expectedMs(plan.kinds, Math.max(1, plan.faults - this.faults.length));
    const byTime = plan.limitMs === undefined ? byFaults : began + plan.limitMs - performance.now();
    const rate = left / (Math.max(5_000, Math.min(byFaults, byTime)) / 1000);
    this.#load.aim(Math.min(MOST_PER_SECOND, Math.max(1, rate)), plan.messages);
    await sleep(ms);
  }

  async #restOfTheLoad(plan: Plan, aborted: () => boolean): Promise<void> {
    const left = plan.messages - this.#load.created;
    if (left <= 0 || plan.limitMs !== undefined) return;
    this.#say(`${clockOf(this.#history.now())}     the last ${left} messages`);
    this.#load.aim(MOST_PER_SECOND, plan.messages);
    await until(
      () => aborted() || this.#load.created >= plan.messages,
      (left / MOST_PER_SECOND) * 3_000 + 30_000,
    );
  }

  #sample(): void {
    for (const node of this.#cluster.nodes) {
      void node.ready().then((ready) => {
        this.readiness.push({ at: this.#history.now(), node: node.number, ready: ready ?? null });
      });
    }
  }
}

const clockOf = (ms: number): string => {
  const seconds = ms / 1000;
  return `${String(Math.floor(seconds / 60)).padStart(3)}:${(seconds % 60).toFixed(1).padStart(4, '0')}`;
};
