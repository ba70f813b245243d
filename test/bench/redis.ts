import { freePort } from '../support/ports.ts';
import { RedisServer } from '../support/redis-server.ts';
import { atExit, temporaryDirectory } from './processes.ts';

/** A Redis of the bench's own, on a free port, that keeps nothing on disk. */
export async function startRedis(): Promise<RedisServer> {
  const redis = new RedisServer({
    port: await freePort(),
    directory: temporaryDirectory(),
    config: ['appendonly no', 'loglevel warning'],
  });
  atExit(() => redis.signal('SIGKILL'));
  await redis.start();
  return redis;
}
