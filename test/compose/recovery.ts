import type { Verdict } from '../faults/checker.ts';
import type { History, HistoryEvent, Opened } from '../faults/history.ts';
import type { Load } from '../faults/load.ts';
import { firstSends } from '../faults/recovery.ts';

/*
 * How long a disturbance was felt. A device is served again when it has, on any socket, a message that was first sent after
 * the disturbance began: then its own way to the server works, and the server's to the disk.
 */

export type Stretch = {
  readonly what: string;
  /** Milliseconds since the start of the run. */
  readonly from: number;
  readonly to: number;
  /** Devices that did not read for a while of their own accord: what they waited says nothing. */
  readonly excused: ReadonlySet<string>;
};

export type Felt = { readonly firstS: number; readonly lastS: number; readonly unserved: number };

/** Watches a stretch of the run while something is done to the system. */
export async function during(
  what: string,
  history: History,
  load: Load,
  act: () => Promise<void>,
): Promise<Stretch> {
  const from = history.now();
  const excused = new Set<string>();
  const watch = setInterval(() => {
    for (const device of load.devices) if (device.paused) excused.add(device.name);
  }, 50);
  try {
    await act();
  } finally {
    clearInterval(watch);
  }
  return { what, from, to: history.now(), excused };
}

/** Seconds until the first and the last device were served again. */
export function felt(events: readonly HistoryEvent[], { from, to, excused }: Stretch): Felt {
  const sentAt = firstSends(events);
  const opened = new Map<number, Opened>();
  const served = new Map<string, number>();
  const devices = new Set<string>();
  for (const event of events) {
    if (event.kind === 'opened') opened.set(event.socket, event);
    if (event.at > to) break;
    if (event.kind !== 'delivered' && event.kind !== 'opened') continue;
    const device = opened.get(event.socket)?.device;
    if (device === undefined || excused.has(device)) continue;
    devices.add(device);
    if (event.kind === 'opened' || event.at < from || served.has(device)) continue;
    if ((sentAt.get(event.clientId) ?? 0) >= from) served.set(device, event.at - from);
  }
  const waits = [...served.values()].map((ms) => ms / 1000);
  return {
    firstS: Math.min(...waits),
    lastS: Math.max(...waits),
    unserved: devices.size - served.size,
  };
}

/** One row for each stretch, and the classes of violations in all. */
export function table(
  events: readonly HistoryEvent[],
  stretches: readonly Stretch[],
  verdict: Verdict,
): string {
  const found = Object.values(verdict.samples).flat();
  const lines = [
    `${'what was done'.padEnd(44)} ${'first served'.padStart(12)} ${'all served'.padStart(10)}   violations`,
    ...stretches.map((stretch) => {
      const { firstS, lastS, unserved } = felt(events, stretch);
      const here = found.filter(
        ({ at }) => at !== undefined && at >= stretch.from && at <= stretch.to,
      ).length;
      const all = unserved === 0 ? `${lastS.toFixed(1)} s` : `${unserved} not`;
      return `${stretch.what.padEnd(44)} ${`${firstS.toFixed(1)} s`.padStart(12)} ${all.padStart(10)}   ${here}`;
    }),
    '',
    Object.entries(verdict.counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(' · '),
  ];
  for (const { class: name, what } of found.slice(0, 20)) lines.push(`  ${name}: ${what}`);
  return lines.join('\n');
}
