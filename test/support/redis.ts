import { mkdtempSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { freePort } from './ports.ts';
import { RedisServer } from './redis-server.ts';

/** A Redis for one test, on a free port, gone with it. */
export async function startRedis(cleanups: { after(task: () => Promise<void>): void }): Promise<RedisServer> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'parley-redis-'));
  const redis = new RedisServer({ port: await freePort(), directory });
  cleanups.after(() => redis.remove());
  await redis.start();
  return redis;
}
