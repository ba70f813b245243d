import type { WebSocket } from 'ws';

/** Takes what arrives on a socket. */
export interface SocketEvents {
  received(data: Buffer, isBinary: boolean): void;
  /** A WebSocket ping or pong came. */
  pinged(data: Buffer): void;
  /** The socket is gone. */
  ended(): void;
}

const EVENTS = Symbol('events');
type Telling = WebSocket & { [EVENTS]?: SocketEvents };

/** All sockets share these listeners: five of its own would cost each a third of a kilobyte. */
export function listen(ws: Telling, events: SocketEvents): void {
  ws[EVENTS] = events;
  ws.on('message', received);
  ws.on('ping', pinged);
  ws.on('pong', pinged);
  ws.on('close', ended);
  ws.on('error', ignore); // 'close' follows.
}

function received(this: Telling, data: Buffer, isBinary: boolean): void {
  this[EVENTS]?.received(data, isBinary);
}

function pinged(this: Telling, data: Buffer): void {
  this[EVENTS]?.pinged(data);
}

function ended(this: Telling): void {
  this[EVENTS]?.ended();
}

const ignore = (): void => {};
