import type { RedisServer } from '../support/redis-server.ts';
import type { Arena, FaultKind } from './fault-kind.ts';
import type { Silence } from './relay.ts';

/* Faults of Redis and of the way to it. */

/** A server, mostly one that is a master now. */
function pickServer({ cluster, random }: Arena): RedisServer {
  const masters = cluster.redisMasters;
  return random.pick(masters.length > 0 && random.chance(0.8) ? masters : cluster.redis.servers);
}

const nameOf = ({ cluster }: Arena, server: RedisServer): string => {
  const role = cluster.redisMasters.includes(server) ? 'master' : 'no master';
  return `redis ${cluster.redis.servers.indexOf(server) + 1} (${role})`;
};

const redisKill = (keepsData: boolean): FaultKind => ({
  name: keepsData ? 'redis-kill' : 'redis-kill-and-lose-data',
  needs: ['redis'],
  group: 'redis',
  lastsMs: 2_500,
  arm: (arena) => {
    const server = pickServer(arena);
    return {
      target: nameOf(arena, server),
      holdMs: arena.random.between(100, 4_000),
      measureFrom: 'heal',
      path: { kind: 'all' },
      inject: () => server.kill(),
      heal: async () => {
        if (!keepsData) server.forget();
        await server.start();
      },
    };
  },
});

const redisFreeze = (seconds: number): FaultKind => ({
  name: `redis-freeze-${seconds}s`,
  needs: ['redis'],
  group: 'redis',
  lastsMs: seconds * 1_000,
  arm: (arena) => {
    const server = pickServer(arena);
    return {
      target: nameOf(arena, server),
      holdMs: seconds * 1_000,
      measureFrom: 'heal',
      path: { kind: 'all' },
      inject: () => server.signal('SIGSTOP'),
      heal: () => server.signal('SIGCONT'),
    };
  },
});

/** The same command to every master. */
const redisCommand = (name: string, ...command: [string, ...string[]]): FaultKind => ({
  name,
  needs: ['redis'],
  group: 'redis',
  lastsMs: 500,
  arm: ({ cluster }) => ({
    target: command.join(' '),
    holdMs: 500,
    measureFrom: 'inject',
    path: { kind: 'all' },
    inject: async () => {
      await Promise.all((await cluster.redis.masters()).map((server) => server.command(...command)));
    },
  }),
});

const redisPause: FaultKind = {
  name: 'redis-pause',
  needs: ['redis'],
  group: 'redis',
  lastsMs: 3_000,
  arm: (arena) => {
    const server = pickServer(arena);
    const ms = Math.round(arena.random.between(500, 6_000));
    return {
      target: `CLIENT PAUSE ${ms} on ${nameOf(arena, server)}`,
      holdMs: ms,
      measureFrom: 'heal',
      path: { kind: 'all' },
      inject: async () => {
        await server.command('CLIENT', 'PAUSE', String(ms), 'ALL');
      },
    };
  },
};

const halfOpen = (name: string, which: Silence): FaultKind => ({
  name,
  needs: ['redis'],
  group: 'redis-link',
  lastsMs: 6_000,
  arm({ cluster, random }) {
    const { name, relay, path } = random.pick(cluster.links);
    return {
      target: `${name}, its ${which === 'all' ? '' : `${which} `}connections`,
      holdMs: 6_000,
      measureFrom: 'inject',
      path,
      inject: () => {
        relay.silence(which);
      },
    };
  },
});

const blackout: FaultKind = {
  name: 'redis-blackout',
  needs: ['redis'],
  group: 'redis-link',
  lastsMs: 5_000,
  arm({ cluster, random }) {
    const { name, relay, path } = random.pick(cluster.links);
    return {
      target: `${name}, all that is sent`,
      holdMs: random.between(1_000, 9_000),
      measureFrom: 'heal',
      path,
      inject: () => relay.blackout(),
      heal: () => relay.restore(),
    };
  },
};

/** A master dies for so long that a replica takes over; what it had not passed on is lost. */
const failover: FaultKind = {
  name: 'redis-failover',
  needs: ['redis-replicas'],
  group: 'redis',
  lastsMs: 8_000,
  arm: (arena) => {
    const masters = arena.cluster.redisMasters;
    if (masters.length === 0) return undefined;
    const server = arena.random.pick(masters);
    return {
      target: nameOf(arena, server),
      holdMs: 8_000,
      measureFrom: 'inject',
      path: { kind: 'all' },
      inject: () => server.kill(),
      heal: () => server.start(),
    };
  },
};

/** A replica takes over in an orderly way, while the master lives. */
const switchover: FaultKind = {
  name: 'redis-switchover',
  needs: ['redis-replicas'],
  group: 'redis',
  lastsMs: 3_000,
  arm: ({ cluster }) => ({
    target: 'a master and its replica',
    holdMs: 3_000,
    measureFrom: 'inject',
    path: { kind: 'all' },
    // One that is under way already, or has no replica to go to, is refused.
    inject: () => cluster.redis.failOver?.().catch(() => {}),
  }),
};

export const REDIS_FAULTS: readonly FaultKind[] = [
  redisKill(true),
  redisKill(false),
  redisFreeze(1),
  redisFreeze(10),
  redisCommand('redis-kill-connections', 'CLIENT', 'KILL', 'TYPE', 'normal'),
  redisCommand('redis-kill-subscribers', 'CLIENT', 'KILL', 'TYPE', 'pubsub'),
  redisCommand('redis-flush', 'FLUSHALL'),
  redisPause,
  halfOpen('redis-half-open', 'all'),
  halfOpen('redis-half-open-subscribers', 'subscribers'),
  halfOpen('redis-half-open-commands', 'others'),
  blackout,
  failover,
  switchover,
];
