import { createServer, type Server } from 'node:net';

/*
 * Ports for servers that must be told one. They are below those that systems give to outgoing connections (Linux: from
 * 32,768), so that nobody comes to have one while its server is down. No two processes are given the same: each keeps a
 * block of them to itself, by listening on its first port until it ends.
 */

const FIRST = 10_000;
const BLOCK = 100;
const BLOCKS = 220;

let block: Promise<number> | undefined;
let given = 0;

/** A port that nothing listens on, on any address, and that none of the last 98 calls was given. */
export async function freePort(): Promise<number> {
  block ??= claimBlock();
  const first = await block;
  for (let tried = 1; tried < BLOCK; tried++) {
    const port = first + 1 + (given++ % (BLOCK - 1));
    const server = await listen(port);
    if (server === undefined) continue;
    await new Promise((closed) => server.close(closed));
    return port;
  }
  throw new Error(`no port is free from ${first + 1} to ${first + BLOCK - 1}`);
}

async function claimBlock(): Promise<number> {
  const start = Math.floor(Math.random() * BLOCKS);
  for (let tried = 0; tried < BLOCKS; tried++) {
    const first = FIRST + BLOCK * ((start + tried) % BLOCKS);
    const claim = await listen(first);
    if (claim === undefined) continue;
    claim.unref();
    return first;
  }
  throw new Error(`every block of ports from ${FIRST} to ${FIRST + BLOCK * BLOCKS - 1} is taken`);
}

/** Undefined where the port is in use. */
function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen(port, () => resolve(server));
  });
}
