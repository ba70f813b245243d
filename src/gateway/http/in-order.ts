import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

type Line = {
  busy: boolean;
  /** The request that came last. */
  last: IncomingMessage;
  readonly waiting: (() => void)[];
  /** What ends the connection, after all who wait. */
  end?: () => void;
};

/** Requests that wait on one connection for their answers to be next, before it is ended: nobody sends so many ahead. */
const AHEAD_MAX = 100;

/**
 * Begins the requests of one connection one after the other, each when the answer before has left. Node begins all that
 * come at once, and keeps the answers that are not next: work and memory that one connection could have without bound.
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

  /** Whether answers are still to leave that have nothing to do with what the client says now: it would be taken for them. */
  owed(socket: Duplex): boolean {
    const line = this.#lines.get(socket);
    return line?.busy === true && (line.waiting.length > 0 || line.last.complete);
  }

  /** Ends a connection that can't be read any further, after the answers that are owed. */
  end(socket: Duplex, end: () => void): void {
    const line = this.#lines.get(socket);
    if (line === undefined || !this.owed(socket)) return end();
    // The rest of it will not come.
    if (line.end === undefined && !line.last.complete) line.waiting.pop();
    line.end = end;
  }
}
