import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createDatabase, mintToken } from '../support/database.ts';
import { freePort } from '../support/ports.ts';
import { ROOT } from '../support/root.ts';
import { TEST_SECRET } from '../support/server.ts';
import { removeDirectory, spawnProcess, stopProcess, temporaryDirectory, untilReady } from './processes.ts';
import { startRedis } from './redis.ts';
import { type Running, userIds } from './running.ts';

/*
 * Parley as it is shipped: authentication, validation, limits, and logs (warnings) on, and as many gateways as it takes by
 * itself (cores − 1). Only registering and logging in are skipped, since 10,000 password hashes would take minutes: users are
 * written into the database before the start, and their tokens are made with the secret the server is given.
 */

/** `gateways`: as many as it takes by itself if not given. */
export type Setting = { readonly redis: boolean; readonly gateways?: number | undefined };
export type ParleyFiles = { readonly directory: string; readonly databasePath: string };

/** A directory with a database that knows the first `users` users. */
async function prepareParley(users: number): Promise<ParleyFiles> {
  const directory = temporaryDirectory();
  const databasePath = join(directory, 'chat.db');
  await createDatabase(databasePath, userIds(users));
  return { directory, databasePath };
}

export async function startParley(users: number, setting: Setting): Promise<Running> {
  return startParleyOn(await prepareParley(users), setting);
}

export async function startParleyOn(files: ParleyFiles, setting: Setting): Promise<Running> {
  const redis = setting.redis ? await startRedis() : undefined;
  const port = await freePort();
  const child = spawnProcess(process.execPath, startArguments(), {
    PORT: `${port}`,
    HOST: '127.0.0.1',
    ADMIN_PORT: `${await freePort()}`,
    DATABASE_PATH: files.databasePath,
    TOKEN_SECRET: TEST_SECRET,
    LOG_LEVEL: 'warn',
    ...(setting.gateways === undefined ? {} : { WORKERS: `${setting.gateways}` }),
    ...(redis === undefined ? {} : { REDIS_URL: `redis://127.0.0.1:${redis.port}` }),
  });
  const stop = async (): Promise<void> => {
    await stopProcess(child);
    await redis?.remove();
    removeDirectory(files.directory);
  };
  try {
    await untilReady('Parley', child, async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(2_000) });
      await answer.arrayBuffer();
      return answer.ok;
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    port,
    protocol: 'parley',
    roots: redis === undefined ? [child.pid!] : [child.pid!, redis.pid],
    socketRole: 'gateway',
    logins: (count) => Promise.all(userIds(count).map(async (id) => ({ id, token: await mintToken(id) }))),
    stop,
  };
}

/** What `npm start` gives to node. */
function startArguments(): string[] {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: { start: string };
  };
  const [, ...given] = scripts.start.split(' ');
  return given.map((argument) => (argument.startsWith('-') ? argument : join(ROOT, argument)));
}
