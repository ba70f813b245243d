import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

type Exchange = (request: IncomingMessage, response: ServerResponse) => void;
type Line = { busy: boolean; readonly waiting: (() => void)[] };

/** Requests that wait on one connection for their answers to be next, before it is ended: nobody sends so many ahead. */
const AHEAD_MAX = 100;

/**
 * Begins the requests of one connection one after the other, each when the answer before has left. Node begins all that
 * come at once, and keeps the answers that are not next: work and memory that one connection could have without bound.
 */
export function inOrder(answer: Exchange): Exchange {
  const lines = new WeakMap<Socket, Line>();
  return (request, response) => {
    const { socket } = request;
    const line = lines.get(socket) ?? { busy: false, waiting: [] };
    lines.set(socket, line);
    const begin = (): void => {
      line.busy = true;
      response.once('close', () => {
        line.busy = false;
        if (!socket.destroyed) line.waiting.shift()?.();
      });
      answer(request, response);
    };
    if (!line.busy) begin();
    else if (line.waiting.length < AHEAD_MAX) line.waiting.push(begin);
    else socket.destroy();
  };
}
