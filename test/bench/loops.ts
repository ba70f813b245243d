import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from './client.ts';
import { type ByRole, cpuBetween, sampleCpu } from './process-table.ts';
import type { Traffic, Window } from './traffic.ts';

/*
 * The two ways of offering load. Closed: each user has so many messages in flight, and sends the next when one is finished,
 * so the system sets the pace. Open: messages are sent at a fixed rate whatever the system does, and latency counts from
 * the time a message should have been sent, so that a stall is charged to every message it delays (no coordinated omission).
 */

/** Messages still under way this long after the end of a measurement are reported as unfinished. */
const DRAIN_MS = 5_000;
const TICK_MS = 1;

export type Measured = Window & {
  /** Microseconds of CPU time of the server's processes within the window, by role. */
  readonly cpuUs: ByRole;
  /** Share of one core that the load generator itself used: near 1, it is the bottleneck. */
  readonly generatorLoad: number;
};

export type Plan = { readonly warmMs: number; readonly measureMs: number };

/** Sends a message from `client` that should have gone out at `intendedMs`. */
export type SendOne = (client: Client, intendedMs: number) => void;

export async function closedLoop(
  traffic: Traffic,
  clients: readonly Client[],
  inFlight: number,
  send: SendOne,
  plan: Plan,
  roots: readonly number[],
): Promise<Measured> {
  let running = true;
  traffic.onFinished = (sender) => {
    if (running) send(clients[sender]!, performance.now());
  };
  for (let round = 0; round < inFlight; round += 1) {
    for (const client of clients) send(client, performance.now());
  }
  return measure(traffic, plan, roots, () => {
    running = false;
  });
}

export async function openLoop(
  traffic: Traffic,
  clients: readonly Client[],
  perSecond: number,
  send: SendOne,
  plan: Plan,
  roots: readonly number[],
): Promise<Measured> {
  traffic.onFinished = () => undefined;
  const stop = atRate(perSecond, (intended, count) => send(clients[count % clients.length]!, intended));
  return measure(traffic, plan, roots, stop);
}

/** Calls `act` `perSecond` times a second until stopped, with the time it was due; never skips, catches up when late. */
export function atRate(perSecond: number, act: (intendedMs: number, count: number) => void): () => void {
  const began = performance.now();
  const everyMs = 1000 / perSecond;
  let count = 0;
  let timer = setTimeout(tick, TICK_MS);
  function tick(): void {
    const now = performance.now();
    for (let due = began + count * everyMs; due <= now; due = began + count * everyMs) {
      act(due, count);
      count += 1;
    }
    timer = setTimeout(tick, TICK_MS);
  }
  return () => clearTimeout(timer);
}

async function measure(
  traffic: Traffic,
  plan: Plan,
  roots: readonly number[],
  stop: () => void,
): Promise<Measured> {
  await sleep(plan.warmMs);
  const ownBefore = process.cpuUsage();
  const before = sampleCpu(roots);
  traffic.beginWindow();
  await sleep(plan.measureMs);
  const finish = traffic.endWindow();
  const cpuUs = cpuBetween(before, sampleCpu(roots));
  const own = process.cpuUsage(ownBefore);
  stop();
  await drained(traffic);
  const window = finish(traffic.underWay);
  traffic.forgetAll();
  return { ...window, cpuUs, generatorLoad: (own.user + own.system) / 1e6 / window.seconds };
}

async function drained(traffic: Traffic): Promise<void> {
  const deadline = performance.now() + DRAIN_MS;
  while (traffic.underWay > 0 && performance.now() < deadline) await sleep(20);
}
