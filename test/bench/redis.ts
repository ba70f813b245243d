import { once } from 'node:events';
import { connect } from 'node:net';
import { freePort } from '../support/ports.ts';
import { removeDirectory, spawnProcess, stopProcess, temporaryDirectory, untilReady } from './processes.ts';

export type RedisServer = { readonly port: number; readonly pid: number; stop(): Promise<void> };

/** A Redis of the bench's own, on a free port, that keeps nothing on disk. */
export async function startRedis(): Promise<RedisServer> {
  const port = await freePort();
  const directory = temporaryDirectory();
  const options = {
    port: `${port}`,
    bind: '127.0.0.1',
    dir: directory,
    save: '',
    appendonly: 'no',
    loglevel: 'warning',
  };
  const child = spawnProcess(
    'redis-server',
    Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
  );
  await untilReady('redis-server', child, async () => {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      socket.write('PING\r\n');
      const [answer] = await once(socket, 'data');
      return String(answer).startsWith('+PONG');
    } finally {
      socket.destroy();
    }
  });
  return {
    port,
    pid: child.pid!,
    stop: async () => {
      await stopProcess(child);
      removeDirectory(directory);
    },
  };
}
