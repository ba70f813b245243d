import { mkdtempSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { RedisServer } from './redis-server.ts';

/** A Redis for one test, on a free port, gone with it. */
export async function startRedis(cleanups: { after(task: () => Promise<void>): void }): Promise<RedisServer> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'parley-redis-'));
  const redis = new RedisServer({ port: await freePort(), directory });
  cleanups.after(() => redis.remove());
  await redis.start();
  return redis;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
