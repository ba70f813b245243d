import type { HistoryEvent } from './history.ts';

/*
 * G10: a node on which sends stay without an answer must not go on saying that it is ready.
 */

/** What a node's `/readyz` said; null when it gave no answer. */
export type Readiness = { at: number; node: number; ready: boolean | null };

/** A stretch of time in which sends over a node's sockets waited, and not one was acknowledged there. */
export type Outage = { node: number; from: number; to: number; sends: number };

/** An outage this long must have shown in `/readyz`, in milliseconds. */
const SHOWS_WITHIN_MS = 8_000;
const SENDS_AT_LEAST = 5;

/** The outages of at least `longerThanMs`, by node. */
export function outages(events: readonly HistoryEvent[], longerThanMs: number): Outage[] {
  const nodes = new Map<number, number>();
  const waiting = new Map<number, Outage>();
  const found: Outage[] = [];
  const end = (outage: Outage, at: number): void => {
    waiting.delete(outage.node);
    outage.to = at;
    if (at - outage.from >= longerThanMs && outage.sends >= SENDS_AT_LEAST) found.push(outage);
  };
  for (const event of events) {
    if (event.kind === 'opened') nodes.set(event.socket, event.node);
    const node = 'socket' in event ? nodes.get(event.socket) : undefined;
    if (node === undefined) continue;
    const outage = waiting.get(node);
    if (event.kind === 'invoked') {
      if (outage === undefined) waiting.set(node, { node, from: event.at, to: event.at, sends: 1 });
      else outage.sends++;
    } else if (event.kind === 'acknowledged' && outage !== undefined) end(outage, event.at);
  }
  for (const outage of waiting.values()) end(outage, events.at(-1)!.at);
  return found;
}

/** The outages through which a node said at every moment that it was ready. */
export function untruths(events: readonly HistoryEvent[], samples: readonly Readiness[]): Outage[] {
  return outages(events, SHOWS_WITHIN_MS).filter(({ node, from, to }) => {
    const during = samples.filter((sample) => sample.node === node && sample.at >= from && sample.at <= to);
    return during.length > 0 && during.every((sample) => sample.ready === true);
  });
}
