import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { listen } from '../base/listen.ts';

const HOST = '127.0.0.1';
/** Time for the connection, in milliseconds. Nothing says so if no descriptor is left for its second end. */
const PATIENCE_MS = 5_000;

/**
 * Two ends of one connection, neither of which has been read from, so that each can be given to another process. It is made over
 * the loopback interface, since Node has no socketpair(2). Another process of the machine may connect meanwhile: it is told apart
 * by its address and port. Rejects as listen(2) and connect(2) do, and if there is no connection after PATIENCE_MS.
 */
export async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer({ pauseOnConnect: true });
  const accepted: Socket[] = [];
  const ours = Promise.withResolvers<Socket>();
  ours.promise.catch(() => {});
  let near: Socket | undefined;
  const look = (): void => {
    const port = near?.connecting === false ? near.localPort : undefined;
    for (const socket of port === undefined ? [] : accepted.splice(0)) {
      if (socket.remotePort === port && socket.remoteAddress === HOST) ours.resolve(socket);
      else socket.destroy();
    }
  };
  server.on('connection', (socket) => {
    accepted.push(socket.on('error', () => {}));
    look();
  });
  const late = setTimeout(() => {
    const error = new Error(`no connection within ${PATIENCE_MS / 1000} s`);
    ours.reject(error);
    near?.destroy(error);
  }, PATIENCE_MS);
  try {
    await listen(server, { host: HOST, port: 0 }, (error) => ours.reject(error));
    const { port } = server.address() as { port: number };
    near = connect({ host: HOST, port }).pause();
    await once(near, 'connect');
    near.on('error', () => {});
    look();
    return [near, await ours.promise];
  } catch (error) {
    for (const socket of [near, ...accepted]) socket?.destroy();
    throw error;
  } finally {
    clearTimeout(late);
    server.close();
  }
}
