import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

type Line = {
  busy: boolean;
  /** The newest request. */
  last: IncomingMessage;
  readonly waiting: (() => void)[];
  /** Ends the connection, after all that wait. */
  end?: () => void;
};

/** Requests that may wait on one connection for their turn. Beyond that, it is closed: no real client sends so many ahead. */
const AHEAD_MAX = 100;

/**
 * Handles the requests of one connection one at a time, each when the previous answer has left. Node would begin all of them at
 * once, and keep the answers whose turn has not come. One connection could cause unbounded work and memory that way.
 */
export class InOrder {
  readonly #lines = new WeakMap<Duplex, Line>();

  begin(request: IncomingMessage, response: ServerResponse, answer: () => void): void {
    const { socket } = request;
    const line = this.#lines.get(socket) ?? { busy: false, last: request, waiting: [] };
    this.#lines.set(socket, line);
    line.last = request;
    const begin = (): void => {
      line.busy = true;
      response.once('close', () => {
        line.busy = false;
        if (!socket.destroyed) (line.waiting.shift() ?? line.end)?.();
      });
      answer();
    };
    if (!line.busy) begin();
    else if (line.waiting.length < AHEAD_MAX) line.waiting.push(begin);
    else socket.destroy();
  }

  /** Whether answers are outstanding that are unrelated to what the client sends now, but would be taken for its answer. */
  owed(socket: Duplex): boolean {
    const line = this.#lines.get(socket);
    return line?.busy === true && (line.waiting.length > 0 || line.last.complete);
  }

  /** Ends a connection that can't be read any further, after the outstanding answers. */
  end(socket: Duplex, end: () => void): void {
    const line = this.#lines.get(socket);
    if (line === undefined || !this.owed(socket)) return end();
    // The last request is incomplete, and will remain so.
    if (line.end === undefined && !line.last.complete) line.waiting.pop();
    line.end = end;
  }
}
