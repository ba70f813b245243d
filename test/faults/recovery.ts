import type { AffectedPath } from './fault-kind.ts';
import { firstIndex } from './first-index.ts';
import type { HistoryEvent, Opened } from './history.ts';

/** One fault as it was done; times in milliseconds since the start of the run. */
export type FaultRecord = {
  name: string;
  target: string;
  injectedAt: number;
  healedAt: number;
  measureFrom: 'inject' | 'heal';
  path: AffectedPath;
  /** Another fault was under way, so that a recovery time would say nothing of this one. */
  combined: boolean;
  /** From the death, or the return, to the next delivery through the affected path. Null: not seen before the next fault. */
  recoveryMs: number | null;
  /** The same, until everybody with a socket has had such a delivery; null where the path is not everybody's, or not seen. */
  servedMs: number | null;
  /** From the kill to a new process in the killed one's place; null where that does not apply or was not seen. */
  replacedMs: number | null;
};

/** A socket that closes this soon after the fault is taken to be its victim. */
const DROPPED_WITHIN_MS = 500;

/** Fills in the recovery times. One pass over the history per fault, within its own stretch of time. */
export function measureRecovery(
  events: readonly HistoryEvent[],
  faults: readonly FaultRecord[],
): FaultRecord[] {
  const sentAt = firstSends(events);
  const sockets = new Map<number, Opened>();
  for (const event of events) if (event.kind === 'opened') sockets.set(event.socket, event);
  return faults.map((fault) => {
    if (fault.combined) return { ...fault, recoveryMs: null, servedMs: null };
    const origin = fault.measureFrom === 'inject' ? fault.injectedAt : fault.healedAt;
    const next = Math.min(...faults.map((f) => f.injectedAt).filter((at) => at > fault.injectedAt));
    const stretch = events.slice(firstAt(events, fault.injectedAt), firstAt(events, next));
    const dropped = droppedDevices(stretch, fault, sockets);
    const shown = stretch.find(
      (event) => event.at >= origin && shows(event, fault, origin, dropped, sockets, sentAt),
    );
    const servedAt =
      fault.path.kind === 'all' ? servedEverybody(stretch, origin, sockets, sentAt) : undefined;
    return {
      ...fault,
      recoveryMs: shown === undefined ? null : shown.at - origin,
      servedMs: servedAt === undefined ? null : servedAt - origin,
    };
  });
}

function shows(
  event: HistoryEvent,
  { path, injectedAt }: FaultRecord,
  origin: number,
  dropped: ReadonlySet<string>,
  sockets: ReadonlyMap<number, Opened>,
  sentAt: ReadonlyMap<string, number>,
): boolean {
  if (event.kind === 'page') return path.kind === 'catch-up' && sockets.get(event.socket)!.at >= origin;
  if (event.kind !== 'delivered') return false;
  const socket = sockets.get(event.socket)!;
  switch (path.kind) {
    case 'catch-up':
      return false;
    case 'dropped':
      return socket.at >= injectedAt && dropped.has(socket.device);
    case 'all':
    case 'node': {
      if (event.via !== 'live' || event.to !== socket.user || event.from === event.to) return false;
      if (path.kind === 'node' && socket.node !== path.node) return false;
      return (sentAt.get(event.clientId) ?? 0) >= origin;
    }
  }
}

/** When the last of all users had a live delivery of a message from somebody else, sent at or after `origin`. */
function servedEverybody(
  stretch: readonly HistoryEvent[],
  origin: number,
  sockets: ReadonlyMap<number, Opened>,
  sentAt: ReadonlyMap<string, number>,
): number | undefined {
  const waiting = new Set([...sockets.values()].map(({ user }) => user));
  for (const event of stretch) {
    if (event.kind !== 'delivered' || event.via !== 'live' || event.from === event.to) continue;
    const { user } = sockets.get(event.socket)!;
    if (event.to !== user || (sentAt.get(event.clientId) ?? 0) < origin) continue;
    if (waiting.delete(user) && waiting.size === 0) return event.at;
  }
  return undefined;
}

/** The devices that lost a socket to the fault; none where its path does not ask for them. */
function droppedDevices(
  stretch: readonly HistoryEvent[],
  { path, injectedAt }: FaultRecord,
  sockets: ReadonlyMap<number, Opened>,
): Set<string> {
  const devices = new Set<string>();
  if (path.kind !== 'dropped') return devices;
  for (const event of stretch) {
    if (event.at > injectedAt + DROPPED_WITHIN_MS) break;
    const socket = event.kind === 'closed' ? sockets.get(event.socket)! : undefined;
    if (socket?.node === path.node) devices.add(socket.device);
  }
  return devices;
}

/** When each message was first sent, by client_id. */
export function firstSends(events: readonly HistoryEvent[]): Map<string, number> {
  const sentAt = new Map<string, number>();
  for (const event of events) {
    if (event.kind === 'invoked' && !sentAt.has(event.clientId)) sentAt.set(event.clientId, event.at);
  }
  return sentAt;
}

/** Index of the first event at or after `at`. */
const firstAt = (events: readonly HistoryEvent[], at: number): number =>
  firstIndex(events, (event) => event.at >= at);

export type Summary = {
  name: string;
  count: number;
  measured: number;
  p50: number;
  p99: number;
  max: number;
  /** The longest until everybody was served. */
  servedMax: number;
  /** The longest wait for a new process. */
  replacedMax: number;
};

/** Recovery times by kind of fault, in milliseconds. */
export function summarise(faults: readonly FaultRecord[]): Summary[] {
  const names = [...new Set(faults.map((fault) => fault.name))].sort();
  return names.map((name) => {
    const of = faults.filter((fault) => fault.name === name);
    const times = of.flatMap((fault) => fault.recoveryMs ?? []).sort((a, b) => a - b);
    const [p50, p99, max] = [percentile(times, 0.5), percentile(times, 0.99), times.at(-1) ?? Number.NaN];
    const servedMax = Math.max(...of.map((fault) => fault.servedMs ?? Number.NEGATIVE_INFINITY));
    const replacedMax = Math.max(...of.map((fault) => fault.replacedMs ?? Number.NEGATIVE_INFINITY));
    return { name, count: of.length, measured: times.length, p50, p99, max, servedMax, replacedMax };
  });
}

/** Nearest rank, of an ascending list; NaN of an empty one. */
export function percentile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) return Number.NaN;
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!;
}
