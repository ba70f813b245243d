/*
 * The port between processes. It has two adapters, Redis (src/bus/redis) and, within one node, sockets and IPC (src/bus/ipc). One
 * conformance suite (test/conformance) runs against both.
 *
 * It promises little, on purpose (G5): publications and requests may be lost, and the log may lose entries that nobody has read
 * yet. Each may also come twice: what was unanswered when a connection broke is sent again. Callers that need more build it from
 * cursors, retries and idempotent commands.
 */

export type Publication = { readonly channel: string; readonly payload: string };

/** The position of a log entry. Opaque to all but the adapter that made it. */
export type Position = string;

export type LogEntry = { readonly position: Position; readonly payload: string };

export interface Bus {
  /**
   * In order per channel; after a broken connection, some may come again, from an earlier one on. Resolves when handed over. If it
   * rejects, the publications may or may not have been.
   */
  publish(publications: readonly Publication[]): Promise<void>;

  /** Resolves when the subscription is active: everything published after that is heard. One listener per channel. */
  subscribe(channel: string, listener: (payload: string) => void): Promise<void>;
  unsubscribe(channel: string): void;
  /** Called when publications may have been missed, once subscriptions are active again. */
  onGap(listener: () => void): void;

  /** Adds an entry to the command log. Resolves when the log holds it. */
  append(payload: string): Promise<void>;
  /**
   * Entries after `after` (undefined: from the start), oldest first. Waits up to `waitMs` for the first one; an empty answer
   * means that there was none. If the log was lost and started anew, reading continues at its new start.
   */
  read(after: Position | undefined, limit: number, waitMs: number): Promise<readonly LogEntry[]>;
  /** Discards entries up to and including `position`. */
  trim(position: Position): Promise<void>;

  /** Asks one of the servers. Rejects after `timeoutMs` without an answer: the request may have been lost. */
  request(payload: string, timeoutMs: number): Promise<string>;
  /** Answers requests. Each goes to exactly one of all servers. Resolves when serving. */
  serve(handler: (payload: string) => string): Promise<void>;

  /** Closes the connections. Nothing is delivered afterwards. */
  close(): Promise<void>;
}

/** A request that nobody answered in time. */
export class RequestTimeout extends Error {
  constructor(timeoutMs: number) {
    super(`No answer within ${timeoutMs} ms.`);
    this.name = 'RequestTimeout';
  }
}
