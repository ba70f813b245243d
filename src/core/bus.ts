/*
 * The port between processes. Two adapters: Redis (src/bus/redis) and the primary's IPC (src/bus/ipc); one
 * conformance suite (test/conformance) runs against both.
 *
 * What it promises is little, on purpose (G5): publications and requests may be lost, and the log may forget what has
 * not been read yet. Whoever needs more builds it from cursors, retries and idempotent commands.
 */

export type Publication = { readonly channel: string; readonly payload: string };

/** Where a log entry stands. Opaque but to the adapter that made it. */
export type Position = string;

export type LogEntry = { readonly position: Position; readonly payload: string };

export interface Bus {
  /** At most once, in order per channel. Resolves when handed over; rejects when that is unknown. */
  publish(publications: readonly Publication[]): Promise<void>;

  /** Resolves when the subscription is in force: what is published after that is heard. One listener per channel. */
  subscribe(channel: string, listener: (payload: string) => void): Promise<void>;
  unsubscribe(channel: string): void;
  /** Called when publications may have been missed, and subscriptions are in force again. */
  onGap(listener: () => void): void;

  /** Adds an entry to the command log. Resolves when the log has it. */
  append(payload: string): Promise<void>;
  /**
   * Entries after `after` (undefined: from the start), oldest first. Waits up to `waitMs` for the first one; an empty
   * answer means there was none. If the log was lost and begun anew, reading goes on at its new start.
   */
  read(after: Position | undefined, limit: number, waitMs: number): Promise<readonly LogEntry[]>;
  /** Forgets entries up to and including `position`. */
  trim(position: Position): Promise<void>;

  /** Asks one of those who serve. Rejects after `timeoutMs` without an answer: the request may have been lost. */
  request(payload: string, timeoutMs: number): Promise<string>;
  /** Answers requests, each exactly one of all who serve. Resolves when serving. */
  serve(handler: (payload: string) => string): Promise<void>;

  /** Lets go of connections. Nothing is delivered afterwards. */
  close(): Promise<void>;
}

/** A request that nobody answered in time. */
export class RequestTimeout extends Error {
  constructor(timeoutMs: number) {
    super(`No answer within ${timeoutMs} ms.`);
    this.name = 'RequestTimeout';
  }
}
