import type { HistoryEvent } from './history.ts';

/*
 * G10: a node on which sends stay without an answer must not go on saying that it is ready.
 */

/** What a node's `/readyz` said; null when it gave no answer. */
export type Readiness = { at: number; node: number; ready: boolean | null };

/** A stretch of time in which sends waited on a node's sockets, and not one was acknowledged there. */
export type Outage = { node: number; from: number; to: number; sends: number };

/** An outage this long must have shown in `/readyz`, in milliseconds. */
const SHOWS_WITHIN_MS = 8_000;
const SENDS_AT_LEAST = 5;

/** The outages of at least `longerThanMs`, by node. Only a socket that is open, and read from, can tell of one. */
export function outages(events: readonly HistoryEvent[], longerThanMs: number): Outage[] {
  const nodes = new Map<number, number>();
  const unread = new Set<number>();
  const waiting = new Map<number, { from: number; sends: number; sockets: Set<number> }>();
  const found: Outage[] = [];
  const end = (node: number, to: number): void => {
    const outage = waiting.get(node);
    if (outage === undefined) return;
    waiting.delete(node);
    const { from, sends } = outage;
    if (to - from >= longerThanMs && sends >= SENDS_AT_LEAST) found.push({ node, from, to, sends });
  };
  const leave = (node: number, socket: number, at: number): void => {
    const sockets = waiting.get(node)?.sockets;
    if (sockets?.delete(socket) && sockets.size === 0) end(node, at);
  };
  for (const event of events) {
    if (!('socket' in event)) continue;
    const { at, socket } = event;
    if (event.kind === 'opened') nodes.set(socket, event.node);
    const node = nodes.get(socket)!;
    if (event.kind === 'acknowledged') end(node, at);
    else if (event.kind === 'closed') leave(node, socket, at);
    else if (event.kind === 'paused') {
      unread.add(socket);
      leave(node, socket, at);
    } else if (event.kind === 'resumed') unread.delete(socket);
    else if (event.kind === 'invoked' && !unread.has(socket)) {
      const outage = waiting.get(node) ?? { from: at, sends: 0, sockets: new Set() };
      outage.sends++;
      outage.sockets.add(socket);
      waiting.set(node, outage);
    }
  }
  for (const node of [...waiting.keys()]) end(node, events.at(-1)!.at);
  return found;
}

/** The outages through which a node said at every moment that it was ready. */
export function untruths(events: readonly HistoryEvent[], samples: readonly Readiness[]): Outage[] {
  return outages(events, SHOWS_WITHIN_MS).filter(({ node, from, to }) => {
    const during = samples.filter((sample) => sample.node === node && sample.at >= from && sample.at <= to);
    return during.length > 0 && during.every((sample) => sample.ready === true);
  });
}
