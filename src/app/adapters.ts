import type { Socket } from 'node:net';
import type { AttemptCounter } from '../auth/attempts.ts';
import { GatewayBus } from '../bus/ipc/gateway-bus.ts';
import { IpcBus } from '../bus/ipc/ipc-bus.ts';
import type { BrokerItem, BusItem, Link } from '../bus/ipc/items.ts';
import { PrimaryBus } from '../bus/ipc/primary-bus.ts';
import { socketLink } from '../bus/ipc/socket-link.ts';
import { WriterBus } from '../bus/ipc/writer-bus.ts';
import type { OnUnreadable } from '../bus/listeners.ts';
import type { Config } from '../config/config.ts';
import type { WorkerRole } from '../config/worker.ts';
import type { Bus } from '../core/bus.ts';
import type { Leaser } from '../core/lease.ts';
import type { FileLock } from '../db/file-lock.ts';
import type { Logger } from '../ops/logger.ts';

export type ConnectedBus = {
  readonly bus: Bus;
  /** Why Redis does not do what it is asked; undefined if it does, or if there is no Redis. */
  readonly trouble: string | undefined;
  /** How far this process's clock is ahead of Redis's, in milliseconds; 0 without Redis. */
  readonly clockAheadMs: number;
  /** Counts login attempts for the whole cluster; undefined without Redis. */
  readonly attempts: AttemptCounter | undefined;
  leaser(databasePath: string, holder: string): Promise<Leaser>;
  /** Keeps a database from being restored, or used without Redis, while stores share it; undefined if the lease does that. */
  lock(databasePath: string): Promise<FileLock | undefined>;
  close(): Promise<void>;
};

/**
 * How often a process that has no peer asks for one, in milliseconds. A socket may be lost on its way: Linux drops it where the
 * receiver has no descriptor left, and tells only the other end.
 */
const ASK_FOR_PEER_EVERY_MS = 2_000;

/**
 * Bytes that the writer keeps for a process that does not read them, such as a gateway with more to deliver than it can. It is cut
 * off then, connected anew, and gets from the store what it missed.
 */
const UNREAD_MAX = 128 * 1024 * 1024;

type Role = WorkerRole | 'primary';

/** What connects a process with its node, used without Redis: as of a WorkerProcess. */
export type Wires = {
  /** To the primary's broker. */
  readonly bus: Link<BusItem, BrokerItem>;
  onPeer(listener: (socket: Socket) => void): void;
  /** There is no peer, or no longer: asks for one. */
  peerLost(): void;
};

/**
 * The one place that knows the adapters of the bus and the lease. Each is loaded only where it is needed.
 * @param name what Redis lists the connections as
 */
export async function connectBus(
  config: Config,
  name: string,
  role: Role,
  wires: Wires,
  log: Logger,
): Promise<ConnectedBus> {
  const onUnreadable = (channel: string, err: unknown): void =>
    log.warn(
      { event: 'publication_unreadable', channel, err },
      'a publication could not be read, perhaps of another version: passed over, as others like it will be',
    );
  if (config.bus.kind === 'ipc') {
    return {
      ...connectWithin(role, wires, onUnreadable, log),
      trouble: undefined,
      clockAheadMs: 0,
      attempts: undefined,
      leaser: async (path) => new (await import('../db/file-lock.ts')).FileLeaser(path),
      lock: async () => undefined,
    };
  }
  const { RedisAttempts } = await import('../auth/redis-attempts.ts');
  const { RedisBus } = await import('../bus/redis/redis-bus.ts');
  const { keyPrefix } = await import('../bus/redis/connection.ts');
  const { RedisLeaser } = await import('../bus/redis/lease.ts');
  const target = config.bus.redis;
  const bus = new RedisBus(target, name, onUnreadable);
  return {
    bus,
    get trouble() {
      return bus.trouble;
    },
    get clockAheadMs() {
      return bus.clockAheadMs;
    },
    attempts: new RedisAttempts(bus.redis, keyPrefix(target)),
    leaser: async (_, holder) => new RedisLeaser(bus.redis, keyPrefix(target), holder),
    lock: async (path) => new (await import('../db/file-lock.ts')).FileLock(path, 'shared'),
    close: () => bus.close(),
  };
}

/** The bus within a node. */
function connectWithin(
  role: Role,
  wires: Wires,
  onUnreadable: OnUnreadable,
  log: Logger,
): Pick<ConnectedBus, 'bus' | 'close'> {
  switch (role) {
    case 'writer': {
      const bus = new WriterBus(onUnreadable);
      const exceeded = (): void =>
        log.warn(
          { event: 'peer_cut_off', bytes: UNREAD_MAX },
          'a gateway, or the primary, does not read what is published: cut off, to get from the store what it misses',
        );
      wires.onPeer((socket) =>
        socket.once('close', bus.attach(socketLink(socket, { bytes: UNREAD_MAX, exceeded }))),
      );
      return { bus, close: () => bus.close() };
    }
    case 'gateway':
    case 'primary': {
      const bus = new { gateway: GatewayBus, primary: PrimaryBus }[role](wires.bus, onUnreadable);
      let current: Socket | undefined;
      let without = 0;
      const asking = setInterval(() => {
        without = current === undefined ? without + 1 : 0;
        // At the first time, this process may just have loaded for so long that what was sent meanwhile is still unread.
        if (without > 1) wires.peerLost();
      }, ASK_FOR_PEER_EVERY_MS);
      wires.onPeer((socket) => {
        current?.destroy();
        current = socket;
        const ended = bus.join(socketLink(socket));
        socket.once('close', () => {
          ended();
          if (socket !== current) return;
          current = undefined;
          wires.peerLost();
        });
      });
      const close = (): Promise<void> => {
        clearInterval(asking);
        return bus.close();
      };
      return { bus, close };
    }
    case 'reader': {
      const bus = new IpcBus(wires.bus, onUnreadable);
      return { bus, close: () => bus.close() };
    }
  }
}
