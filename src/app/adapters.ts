import { IpcBus } from '../bus/ipc-bus.ts';
import type { BrokerItem, BusItem, Link } from '../bus/ipc-items.ts';
import type { RedisClient } from '../bus/redis-connection.ts';
import type { Config } from '../config/config.ts';
import type { Bus } from '../core/bus.ts';
import type { Leaser } from '../core/lease.ts';
import { FileLeaser, FileLock } from '../db/file-lock.ts';

export type ConnectedBus = {
  readonly bus: Bus;
  /** Where login limits are counted: in Redis, or (empty) in the worker's memory. */
  readonly limitsStore: { redis?: RedisClient; keyPrefix?: string };
  leaser(databasePath: string, holder: string): Leaser;
  /** What keeps a database from being restored, or used alone, while stores share it; where the lease does not. */
  lock(databasePath: string): FileLock | undefined;
  close(): Promise<void>;
};

/** The one place that knows which adapters serve the bus and the lease. What Redis needs is loaded where there is Redis. */
export async function connectBus(
  config: Config,
  name: string,
  link: Link<BusItem, BrokerItem>,
): Promise<ConnectedBus> {
  if (config.bus.kind === 'ipc') {
    const bus = new IpcBus(link);
    return {
      bus,
      limitsStore: {},
      leaser: (path) => new FileLeaser(path),
      lock: () => undefined,
      close: () => bus.close(),
    };
  }
  const { RedisBus } = await import('../bus/redis-bus.ts');
  const { keyPrefix } = await import('../bus/redis-connection.ts');
  const { RedisLeaser } = await import('../bus/redis-lease.ts');
  const target = config.bus.redis;
  const bus = new RedisBus(target, name);
  return {
    bus,
    limitsStore: { redis: bus.redis, keyPrefix: keyPrefix(target) },
    leaser: (_, holder) => new RedisLeaser(bus.redis, keyPrefix(target), holder),
    lock: (path) => new FileLock(path, 'shared'),
    close: () => bus.close(),
  };
}
