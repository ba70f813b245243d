import { once } from 'node:events';
import { join } from 'node:path';
import { freePort } from '../support/ports.ts';
import type { RedisServer } from '../support/redis-server.ts';
import type { Protocol } from './dialect.ts';
import { startParley } from './parley.ts';
import { forkProcess, removeDirectory, stopProcess, temporaryDirectory } from './processes.ts';
import { startRedis } from './redis.ts';
import { type Running, userIds } from './running.ts';

/*
 * The systems that are measured, each started afresh, with empty files, for every measurement.
 */

export const SYSTEMS = ['floor', 'durable-floor', 'parley', 'parley-redis', 'socket-io'] as const;
export type System = (typeof SYSTEMS)[number];
/** The systems that are to reach the targets. */
export const PARLEY = ['parley', 'parley-redis'] as const satisfies readonly System[];
export type ParleySystem = (typeof PARLEY)[number];

export const LABELS: Readonly<Record<System, string>> = {
  floor: 'bare ws relay (the floor)',
  'durable-floor': 'the relay, keeping messages',
  parley: 'Parley, embedded',
  'parley-redis': 'Parley with Redis',
  'socket-io': 'Socket.IO + Redis + SQLite',
};

/**
 * @param users number of users that the system will be asked to know
 * @param gateways of Parley; as many as it takes by itself if not given
 */
export async function start(system: System, users: number, gateways?: number): Promise<Running> {
  switch (system) {
    case 'floor':
      return startForked(system, 'floor.ts', 'seed', 'relay');
    case 'durable-floor':
      return startForked(system, 'durable-floor.ts', 'seed', 'relay');
    case 'socket-io':
      return startForked(system, 'peer-socket-io.ts', 'socket.io', 'worker', await startRedis());
    case 'parley':
      return startParley(users, { redis: false, gateways });
    case 'parley-redis':
      return startParley(users, { redis: true, gateways });
  }
}

/** A system that is one file here, and asks for no token. Each is given a database; the bare floor makes no use of it. */
async function startForked(
  system: System,
  file: string,
  protocol: Protocol,
  socketRole: string,
  redis?: RedisServer,
): Promise<Running> {
  const directory = temporaryDirectory();
  const port = await freePort();
  const child = forkProcess(new URL(file, import.meta.url), {
    PORT: `${port}`,
    DATABASE_PATH: join(directory, 'chat.db'),
    ...(redis && { REDIS_PORT: `${redis.port}` }),
  });
  const [message] = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => [undefined])]);
  if (message !== 'listening') throw new Error(`${LABELS[system]} did not start`);
  return {
    port,
    protocol,
    roots: redis === undefined ? [child.pid!] : [child.pid!, redis.pid],
    socketRole,
    logins: async (count) => userIds(count).map((id) => ({ id })),
    stop: async () => {
      await stopProcess(child);
      await redis?.remove();
      removeDirectory(directory);
    },
  };
}
