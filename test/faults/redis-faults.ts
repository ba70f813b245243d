import type { FaultKind } from './fault-kind.ts';
import type { Silence } from './relay.ts';

/* Faults of Redis and of the way to it. */

const redisKill = (keepsData: boolean): FaultKind => ({
  name: keepsData ? 'redis-kill' : 'redis-kill-and-lose-data',
  needs: ['redis'],
  group: 'redis',
  lastsMs: 2_500,
  arm: ({ cluster, random }) => ({
    target: 'redis',
    holdMs: random.between(100, 4_000),
    measureFrom: 'heal',
    path: { kind: 'all' },
    inject: () => cluster.redis.kill(),
    heal: async () => {
      if (!keepsData) cluster.redis.forget();
      await cluster.redis.start();
    },
  }),
});

const redisFreeze = (seconds: number): FaultKind => ({
  name: `redis-freeze-${seconds}s`,
  needs: ['redis'],
  group: 'redis',
  lastsMs: seconds * 1_000,
  arm: ({ cluster }) => ({
    target: 'redis',
    holdMs: seconds * 1_000,
    measureFrom: 'heal',
    path: { kind: 'all' },
    inject: () => cluster.redis.signal('SIGSTOP'),
    heal: () => cluster.redis.signal('SIGCONT'),
  }),
});

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
      await cluster.redis.command(...command);
    },
  }),
});

const redisPause: FaultKind = {
  name: 'redis-pause',
  needs: ['redis'],
  group: 'redis',
  lastsMs: 3_000,
  arm: ({ cluster, random }) => {
    const ms = Math.round(random.between(500, 6_000));
    return {
      target: `CLIENT PAUSE ${ms}`,
      holdMs: ms,
      measureFrom: 'heal',
      path: { kind: 'all' },
      inject: async () => {
        await cluster.redis.command('CLIENT', 'PAUSE', String(ms), 'ALL');
      },
      heal: () => {},
    };
  },
};

const halfOpen = (name: string, which: Silence): FaultKind => ({
  name,
  needs: ['redis'],
  group: 'redis-link',
  lastsMs: 6_000,
  arm({ cluster, random }) {
    const i = random.int(cluster.relays.length);
    return {
      target: `node ${i + 1}, its ${which === 'all' ? '' : `${which} `}connections to redis`,
      holdMs: 6_000,
      measureFrom: 'inject',
      path: { kind: 'node', node: i + 1 },
      inject: () => {
        cluster.relays[i]!.silence(which);
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
    const i = random.int(cluster.relays.length);
    return {
      target: `node ${i + 1}, all it sends to redis`,
      holdMs: random.between(1_000, 9_000),
      measureFrom: 'heal',
      path: { kind: 'node', node: i + 1 },
      inject: () => cluster.relays[i]!.blackout(),
      heal: () => cluster.relays[i]!.restore(),
    };
  },
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
];
