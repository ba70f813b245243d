import { type RawData, type WebSocket, WebSocketServer } from 'ws';

/*
 * The floor: the least a WebSocket chat server on Node can do. One process; parse, look up the receiver, send to receiver
 * and sender. Nothing is kept, checked, or counted; a message to someone who is not there is lost.
 */

type Frame =
  | { readonly type: 'connect'; readonly user_id: string }
  | { readonly type: 'message'; readonly to: string; readonly message: string };

process.title = 'floor: relay';
const sockets = new Map<string, WebSocket>();
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
    const out = JSON.stringify({ from: user, to: frame.to, message: frame.message, type: 'message' });
    sockets.get(frame.to)?.send(out);
    socket.send(out);
  });
  socket.on('close', () => sockets.delete(user));
  socket.on('error', () => undefined);
});

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
server.on('listening', () => process.send?.('listening'));
