import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { freePort } from '../support/ports.ts';
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
      return startRelay('the floor', 'floor.ts');
    case 'durable-floor':
      return startRelay('the durable floor', 'durable-floor.ts');
    case 'socket-io':
      return startSocketIo();
    case 'parley':
      return startParley(users, { redis: false, gateways });
    case 'parley-redis':
      return startParley(users, { redis: true, gateways });
  }
}

/** One of the floors. Both are given a database; the bare one makes no use of it. */
async function startRelay(name: string, file: string): Promise<Running> {
  const directory = temporaryDirectory();
  const port = await freePort();
  const child = forkProcess(new URL(file, import.meta.url), {
    PORT: `${port}`,
    DATABASE_PATH: join(directory, 'chat.db'),
  });
  await listening(name, child);
  return {
    port,
    protocol: 'seed',
    roots: [child.pid!],
    socketRole: 'relay',
    logins: async (count) => userIds(count).map((id) => ({ id })),
    stop: async () => {
      await stopProcess(child);
      removeDirectory(directory);
    },
  };
}

async function startSocketIo(): Promise<Running> {
  const directory = temporaryDirectory();
  const redis = await startRedis();
  const port = await freePort();
  const child = forkProcess(new URL('peer-socket-io.ts', import.meta.url), {
    PORT: `${port}`,
    DATABASE_PATH: join(directory, 'chat.db'),
    REDIS_PORT: `${redis.port}`,
  });
  await listening('Socket.IO', child);
  return {
    port,
    protocol: 'socket.io',
    roots: [child.pid!, redis.pid],
    socketRole: 'worker',
    logins: async (count) => userIds(count).map((id) => ({ id })),
    stop: async () => {
      await stopProcess(child);
      await redis.remove();
      removeDirectory(directory);
    },
  };
}

async function listening(name: string, child: ChildProcess): Promise<void> {
  const [message] = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => [undefined])]);
  if (message !== 'listening') throw new Error(`${name} did not start`);
}
