import type { HistoryEvent, Opened } from './history.ts';
import { firstSends, percentile } from './recovery.ts';

/** One stretch of the run; times in milliseconds since its start, rates per second, latencies in milliseconds. */
export type Moment = {
  at: number;
  sent: number;
  acknowledged: number;
  delivered: number;
  /** From the first sending to the receiver's having it, live. NaN without any. */
  p50: number;
  p99: number;
  /** The fewest sockets that were open at once. */
  connected: number;
};

const MOST_MOMENTS = 600;

/** The run in equal stretches of one second or more. */
export function timeline(events: readonly HistoryEvent[]): { stretchMs: number; moments: Moment[] } {
  const duration = events.at(-1)?.at ?? 0;
  const stretchMs = 1000 * Math.max(1, Math.ceil(duration / 1000 / MOST_MOMENTS));
  const count = Math.max(1, Math.ceil((duration + 1) / stretchMs));
  const stretches = Array.from({ length: count }, () => ({
    sent: 0,
    acknowledged: 0,
    delivered: 0,
    latencies: [] as number[],
    fewest: Number.POSITIVE_INFINITY,
  }));
  const sentAt = firstSends(events);
  const sockets = new Map<number, Opened>();
  const acknowledged = new Set<string>();
  let open = 0;
  for (const event of events) {
    const stretch = stretches[Math.floor(event.at / stretchMs)]!;
    if (event.kind === 'opened') {
      sockets.set(event.socket, event);
      open++;
    } else if (event.kind === 'closed') open--;
    else if (event.kind === 'invoked') stretch.sent++;
    else if (event.kind === 'acknowledged' && !acknowledged.has(event.clientId)) {
      acknowledged.add(event.clientId);
      stretch.acknowledged++;
    } else if (event.kind === 'delivered') {
      stretch.delivered++;
      const from = sentAt.get(event.clientId);
      if (event.via === 'live' && event.to === sockets.get(event.socket)?.user && from !== undefined) {
        stretch.latencies.push(event.at - from);
      }
    }
    stretch.fewest = Math.min(stretch.fewest, open);
  }
  const perSecond = (n: number): number => Math.round((n * 1000) / stretchMs);
  let connected = 0;
  const moments = stretches.map((stretch, i) => {
    const sorted = stretch.latencies.sort((a, b) => a - b);
    if (Number.isFinite(stretch.fewest)) connected = stretch.fewest;
    return {
      at: i * stretchMs,
      sent: perSecond(stretch.sent),
      acknowledged: perSecond(stretch.acknowledged),
      delivered: perSecond(stretch.delivered),
      p50: percentile(sorted, 0.5),
      p99: percentile(sorted, 0.99),
      connected,
    };
  });
  return { stretchMs, moments };
}

/** How often sockets were closed, or sends and connects refused, with each code. */
export function byCode(events: readonly HistoryEvent[], kind: 'closed' | 'failed'): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const event of events) if (event.kind === kind) counts[event.code] = (counts[event.code] ?? 0) + 1;
  return counts;
}
