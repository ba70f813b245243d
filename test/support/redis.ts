import { mkdtempSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { freePort } from './ports.ts';
import { RedisServer, type RedisServerOptions } from './redis-server.ts';

/** A Redis for one test, on a free port, gone with it. */
export async function startRedis(
  cleanups: { after(task: () => Promise<void>): void },
  options: Pick<RedisServerOptions, 'config' | 'sentinel'> = {},
): Promise<RedisServer> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'parley-redis-'));
  const redis = new RedisServer({ port: await freePort(), directory, ...options });
  cleanups.after(() => redis.remove());
  await redis.start();
  return redis;
}
