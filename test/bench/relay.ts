import { type RawData, type WebSocket, WebSocketServer } from 'ws';

/*
 * A bare WebSocket relay, as both floors have it: parse, look up the receiver, send to receiver and sender. A message to
 * someone who is not there is lost.
 */

type Frame =
  | { readonly type: 'connect'; readonly user_id: string }
  | { readonly type: 'message'; readonly to: string; readonly message: string };

const sockets = new Map<string, WebSocket>();

/** Sends a message to its receiver, and back to its sender. */
export function pass(from: string, to: string, message: string, sender: WebSocket): void {
  const out = JSON.stringify({ from, to, message, type: 'message' });
  sockets.get(to)?.send(out);
  sender.send(out);
}

/** Listens on PORT, and tells the process that forked this one. `receive` gets each message. */
export function serveRelay(receive: typeof pass): void {
  const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.env.PORT) });
  server.on('connection', (socket) => {
    let user = '';
    socket.on('message', (data: RawData) => {
      const frame = JSON.parse(data.toString()) as Frame;
      if (frame.type === 'connect') {
        user = frame.user_id;
        sockets.set(user, socket);
        return;
      }
      receive(user, frame.to, frame.message, socket);
    });
    socket.on('close', () => sockets.delete(user));
    socket.on('error', () => undefined);
  });
  process.on('disconnect', () => process.exit(0));
  process.on('SIGTERM', () => process.exit(0));
  server.on('listening', () => process.send?.('listening'));
}
