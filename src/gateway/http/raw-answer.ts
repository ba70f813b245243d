import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../base/clock.ts';
import { http } from '../../base/node-http.ts';
import type { ParleyError } from '../../contract/errors.ts';
import { LIMITS } from '../../contract/limits.ts';
import { requestIdOf } from './request-id.ts';

/**
 * An error as a complete HTTP response (rule H2), for a socket that Koa does not handle: a refused upgrade, or a request that is
 * not valid HTTP. The connection ends with it.
 * @param headers further headers
 * @param request as far as it could be read
 */
export function rawAnswer(
  error: ParleyError,
  headers: Readonly<Record<string, string>>,
  request?: IncomingMessage,
  status: number = error.status,
): string {
  const body = JSON.stringify({ error: error.message, code: error.code });
  const all = {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    Connection: 'close',
    'X-Request-Id': requestIdOf(request?.headers['x-request-id']),
    ...(error.code === 'method_not_allowed' && { Allow: 'GET' }),
    ...(status === 401 && { 'WWW-Authenticate': 'Bearer' }),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n${lines.join('')}\r\n${request?.method === 'HEAD' ? '' : body}`;
}

/**
 * Sends a connection's last answer, and destroys it: a peer that keeps its side open would hold the descriptor for ever. So would
 * one that takes nothing (rule L10), since Node times the requests of a connection, and not what follows an upgrade.
 */
export function endWith(socket: Duplex, answer: string, clock: Clock): void {
  const cancel = clock.after(LIMITS.answerMs, () => socket.destroy());
  socket.once('close', cancel);
  socket.once('finish', () => socket.destroy());
  socket.end(answer);
}
