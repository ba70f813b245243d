import type { ListenOptions, Server } from 'node:net';

/**
 * Makes a server listen. Resolves when it does. Rejects with EADDRINUSE and the like.
 * @param onError gets its errors after that, such as a connection that could not be accepted. It goes on listening: without
 *   this, Node would end the process, and with it every other connection.
 */
export function listen(
  server: Server,
  options: ListenOptions,
  onError: (error: Error) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.off('error', reject).on('error', onError);
      resolve();
    });
  });
}
