import { hash32 } from './random.ts';

/*
 * What the load clients did and saw, in the order in which they did and saw it. The checker reads nothing else but this
 * and the rows of the database. `at` is in milliseconds since the start of the run.
 */

export type Protocol = 'full' | 'basic';

/** Why the outcome of a send is open: its socket went away, no answer came in time, or the server said it cannot tell. */
export type UnknownReason = 'closed' | 'timeout' | 'unavailable';

/** A send was written to a socket; the same `clientId` again is a resend. */
export type Invoked = {
  kind: 'invoked';
  at: number;
  socket: number;
  user: string;
  clientId: string;
  to: string;
  text: string;
};
/** The sender was told that its message is stored: by its echo, or (`repeat`) by the answer to a resend. */
export type Acknowledged = {
  kind: 'acknowledged';
  at: number;
  socket: number;
  user: string;
  clientId: string;
  id: number;
  repeat: boolean;
  to: string;
  text: string;
};
/** The send was refused; `final` when sending it again is pointless. */
export type Failed = {
  kind: 'failed';
  at: number;
  socket: number;
  user: string;
  clientId: string | null;
  code: string;
  final: boolean;
};
export type Unknown = { kind: 'unknown'; at: number; user: string; clientId: string; reason: UnknownReason };

/** A socket was opened. `device` is the client it belongs to: one device has one socket at a time. */
export type Opened = {
  kind: 'opened';
  at: number;
  socket: number;
  device: string;
  user: string;
  node: number;
  /** `Parley-Worker` of the upgrade's answer, if it had one. */
  worker: string;
  protocol: Protocol;
  /** The resume point of the connect frame, null where it had none. */
  since: number | null;
};
export type Connected = {
  kind: 'connected';
  at: number;
  socket: number;
  epoch: string;
  head: number;
  resync: boolean;
};
/** A message frame that is a delivery: not the answer to a repeated send. */
export type Delivered = {
  kind: 'delivered';
  at: number;
  socket: number;
  via: 'page' | 'live';
  id: number;
  from: string;
  to: string;
  text: string;
  clientId: string;
};
/** A catch-up page, after its messages. */
export type Page = { kind: 'page'; at: number; socket: number; upto: number; more: boolean };
export type Closed = { kind: 'closed'; at: number; socket: number; code: number; reason: string };
/** A device stops reading from its socket, and reads on. */
export type Paused = { kind: 'paused' | 'resumed'; at: number; socket: number };
/** When the message was received, its row was looked for in the database. */
export type Peeked = { kind: 'peeked'; at: number; socket: number; id: number; stored: boolean };
/** A device that could not be brought back by the end of the run. */
export type Stuck = { kind: 'stuck'; at: number; device: string; what: string };
/** The load has ended: from here on every socket that is still open has had the time to get everything. */
export type Quiesced = { kind: 'quiesced'; at: number };

export type HistoryEvent =
  | Invoked
  | Acknowledged
  | Failed
  | Unknown
  | Opened
  | Connected
  | Delivered
  | Page
  | Closed
  | Paused
  | Peeked
  | Stuck
  | Quiesced;

type WithoutTime<E> = E extends HistoryEvent ? Omit<E, 'at'> : never;

export class History {
  readonly events: HistoryEvent[] = [];
  readonly #clock: () => number;
  readonly #started: number;

  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
    this.#started = clock();
  }

  /** Milliseconds since the start of the run. */
  now(): number {
    return this.#clock() - this.#started;
  }

  record(event: WithoutTime<HistoryEvent>): void {
    this.events.push({ ...event, at: this.now() } as HistoryEvent);
  }
}

const KEPT_UNITS = 48;

/** Texts are compared by this, so that the history of long messages stays small. */
export function fingerprint(text: string): string {
  if (text.length <= KEPT_UNITS) return text;
  return `${text.slice(0, KEPT_UNITS)}…${text.length}#${hash32(text).toString(16)}`;
}
