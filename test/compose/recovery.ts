import type { Verdict } from '../faults/checker.ts';
import type { History, HistoryEvent } from '../faults/history.ts';
import type { Load } from '../faults/load.ts';
import { firstSends } from '../faults/recovery.ts';

/*
 * How long a disturbance was felt. A device is served again when it has, on any socket, a message that was first sent after
 * the disturbance had set in: then its own way to the server works, and the server's to the disk.
 */

export type Stretch = {
  readonly what: string;
  /** Milliseconds since the start of the run; `from`: the disturbance had set in. */
  readonly from: number;
  readonly to: number;
  /** Devices that did not read for a while of their own accord: what they waited says nothing. */
  readonly excused: ReadonlySet<string>;
};

/** Seconds. */
export type Felt = {
  /** Until the first and the last device were served again. */
  readonly first: number;
  readonly last: number;
  /** The slowest message that was sent meanwhile, to the last device that it was for. */
  readonly slowest: number;
  readonly unserved: number;
};

/** Watches a stretch of the run while something is done to the system; `act` calls `setIn` when it has an effect. */
export async function during(
  what: string,
  history: History,
  load: Load,
  act: (setIn: () => void) => Promise<void>,
): Promise<Stretch> {
  let from = history.now();
  const excused = new Set<string>();
  const watch = setInterval(() => {
    for (const device of load.devices) if (device.paused) excused.add(device.name);
  }, 50);
  try {
    await act(() => {
      from = history.now();
    });
  } finally {
    clearInterval(watch);
  }
  return { what, from, to: history.now(), excused };
}

export function felt(events: readonly HistoryEvent[], { from, to, excused }: Stretch): Felt {
  const sentAt = firstSends(events);
  const deviceOf = new Map<number, string>();
  const served = new Map<string, number>();
  const devices = new Set<string>();
  const had = new Set<string>();
  let slowest = 0;
  for (const event of events) {
    if (event.kind === 'opened') deviceOf.set(event.socket, event.device);
    if (event.kind !== 'delivered') continue;
    const device = deviceOf.get(event.socket) as string;
    if (excused.has(device)) continue;
    // Everybody is caught up by then; who asks for older ones later was not kept waiting for them.
    if (event.at > to) break;
    devices.add(device);
    const sent = sentAt.get(event.clientId) ?? 0;
    // A device that asks for more of the past than it needs gets the same message again.
    const key = `${device} ${event.id}`;
    if (sent < from || had.has(key)) continue;
    had.add(key);
    if (!served.has(device)) served.set(device, event.at - from);
    slowest = Math.max(slowest, event.at - sent);
  }
  const waits = [...served.values()];
  return {
    first: Math.min(...waits) / 1000,
    last: Math.max(...waits) / 1000,
    slowest: slowest / 1000,
    unserved: devices.size - served.size,
  };
}

const seconds = (value: number): string => `${value.toFixed(1)} s`.padStart(15);

/** One row for each stretch, and the classes of violations in all. */
export function table(
  events: readonly HistoryEvent[],
  stretches: readonly Stretch[],
  verdict: Verdict,
): string {
  const found = Object.values(verdict.samples).flat();
  const head = ['first served', 'all served', 'slowest message', 'violations'];
  const lines = [`${'what was done'.padEnd(40)}${head.map((title) => title.padStart(17)).join('')}`];
  for (const stretch of stretches) {
    const { first, last, slowest, unserved } = felt(events, stretch);
    const here = found.filter(({ at }) => at !== undefined && at >= stretch.from && at <= stretch.to);
    const all = unserved === 0 ? seconds(last) : `${unserved} not`.padStart(15);
    const cells = [seconds(first), all, seconds(slowest), String(here.length).padStart(15)];
    lines.push(`${stretch.what.padEnd(40)}${cells.map((cell) => `  ${cell}`).join('')}`);
  }
  const counts = Object.entries(verdict.counts).map(([name, count]) => `${name} ${count}`);
  lines.push('', counts.join(' · '));
  for (const { class: name, what } of found.slice(0, 20)) lines.push(`  ${name}: ${what}`);
  return lines.join('\n');
}
