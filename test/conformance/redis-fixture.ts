import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import type { OnUnreadable } from '../../src/bus/listeners.ts';
import { keyPrefix } from '../../src/bus/redis/connection.ts';
import { RedisBus } from '../../src/bus/redis/redis-bus.ts';
import { parseRedisUrl, type RedisTarget } from '../../src/config/redis-url.ts';
import type { RedisTopology, TopologyOptions } from '../support/redis-topologies.ts';
import type { BusFixture } from './bus-suite.ts';

export type RedisHome = RedisTopology & {
  readonly target: RedisTarget;
  readonly prefix: string;
  flush(): Promise<void>;
  /** The same command to every master. */
  command(...args: [string, ...string[]]): Promise<unknown[]>;
};

/** Servers for the tests of one file, or for one test: gone with it. */
export async function startHome(
  start: (options: TopologyOptions) => Promise<RedisTopology>,
  cleanups: { after(task: () => Promise<void>): void },
): Promise<RedisHome> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'parley-redis-'));
  const topology = await start({ directory });
  cleanups.after(async () => {
    await topology.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  // What NODE_EXTRA_CA_CERTS does for a process of its own.
  if (topology.ca !== undefined)
    tls.setDefaultCACertificates([...tls.getCACertificates(), readFileSync(topology.ca, 'utf8')]);
  const target = parseRedisUrl(topology.url);
  const command: RedisHome['command'] = async (...args) =>
    Promise.all((await topology.masters()).map((it) => it.command(...args)));
  return {
    ...topology,
    target,
    prefix: keyPrefix(target),
    command,
    flush: async () => void (await command('FLUSHALL')),
  };
}

export type RedisBusFixture = Omit<BusFixture, 'member'> & {
  member(onUnreadable?: OnUnreadable): Promise<{ readonly bus: RedisBus; die(): Promise<void> }>;
  close(): Promise<void>;
};

export function redisBusFixture({ target }: RedisHome): RedisBusFixture {
  const open = new Set<RedisBus>();
  return {
    dispatchesAgain: false,
    member: async (onUnreadable) => {
      const bus = new RedisBus(target, 'test 1', onUnreadable);
      open.add(bus);
      return { bus, die: () => bus.close() };
    },
    close: async () => {
      await Promise.all([...open].map((bus) => bus.close()));
    },
  };
}
