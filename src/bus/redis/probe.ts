import { connect } from 'node:net';
import { Cluster, Redis } from 'ioredis';
import type { RedisAddress, RedisTarget } from '../../config/redis-url.ts';
import { CLUSTER_OPTIONS, keyPrefix, optionsOf, watchLoading } from './connection.ts';
import { ownerOf, slotOf } from './slots.ts';
import { SILENCE_MS } from './watch.ts';

/** How long to wait for the message of a server that refuses all connections, in milliseconds. */
const REFUSAL_MS = 1_000;

/**
 * Checks that Redis answers, once at start.
 * @throws Error with the reason in a few words, without a full stop
 */
export async function probeRedis(target: RedisTarget): Promise<void> {
  let reason: string | undefined;
  const because = (error: Error): void => {
    reason ??= error.message;
  };
  const redis = target.kind === 'cluster' ? clusterFor(target, because) : clientFor(target, because);
  let loading: string | undefined;
  if (redis instanceof Redis)
    watchLoading(redis, ({ message }) => {
      loading = message;
    });
  // A server that accepts the connection but stays silent must not hold up the start for ever.
  const { promise: silence, reject } = Promise.withResolvers<never>();
  const patience = setTimeout(() => {
    reason ??= loading ?? `no answer within ${SILENCE_MS / 1000} s`;
    reject(new Error(reason));
  }, SILENCE_MS);
  try {
    await Promise.race([ask(redis, target), silence]);
  } catch (error) {
    // For an unreachable node, a cluster client only says that its connection is closed. A plain client says why.
    if (target.kind === 'cluster' && reason?.startsWith('Connection is closed'))
      await probeRedis({ ...target, kind: 'single', address: target.nodes[0], database: 0 });
    if (target.kind === 'single' && !target.tls && /EPIPE|ECONNRESET|closed/.test(reason ?? ''))
      reason = (await refusalOf(target.address)) ?? reason;
    throw new Error((reason ?? (error as Error).message).replace(/\.$/, ''), { cause: error });
  } finally {
    clearTimeout(patience);
    redis.disconnect();
  }
}

/**
 * The first sentence that a Redis sends before it closes the connection, in protected mode or at its limit of clients. The client
 * has already sent something by then, and only reports that it could not.
 */
function refusalOf(address: RedisAddress): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ ...address, timeout: REFUSAL_MS }).setEncoding('utf8');
    const end = (refusal?: string): void => {
      socket.destroy();
      resolve(refusal);
    };
    socket.once('data', (said: string) => end(/^-([^\r\n]*?)(\. |\r|\n|$)/.exec(said)?.[1]));
    socket.once('timeout', () => end());
    socket.once('error', () => end());
    socket.once('close', () => end());
  });
}

async function ask(redis: Redis | Cluster, target: RedisTarget): Promise<void> {
  await redis.connect();
  const name = `${keyPrefix(target)}probe`;
  try {
    if (redis instanceof Cluster) {
      await redis.spublish(name, '');
      const owner = ownerOf(redis, slotOf(name));
      const node = redis.nodes('master').find(({ options: { host, port } }) => `${host}:${port}` === owner);
      if (node === undefined) throw new Error('a slot has no master');
      await node.ping();
      if (/cluster_state:fail/.test(await node.cluster('INFO')))
        throw new Error('the cluster is down (CLUSTER INFO says cluster_state:fail)');
      await tryCommands(node, name, [...COMMANDS, ...CLUSTER_COMMANDS]);
      await node.ssubscribe(name);
    } else {
      await redis.ping();
      await tryCommands(redis, name, COMMANDS);
      await redis.subscribe(name);
    }
  } catch (error) {
    // Also said of a cluster without slots, or whose only server was never told its own address.
    if (/none of startup nodes/i.test((error as Error).message))
      throw new Error('the cluster names no server for any slot (CLUSTER SLOTS)', { cause: error });
    const [, unknown] = /unknown command '?(\w+)/i.exec((error as Error).message) ?? [];
    if (unknown === undefined) throw error;
    throw new Error(`it knows no ${unknown.toUpperCase()}: Redis 7 or newer is needed`, { cause: error });
  }
}

type CommandLine = readonly [string, ...string[]];

/** The commands that the bus, the lease and the login limits use. */
const COMMANDS: readonly CommandLine[] = [
  ['XADD', 'KEY', '*', 'b', ''],
  ['XREAD', 'STREAMS', 'KEY', '0'],
  ['XTRIM', 'KEY', 'MAXLEN', '0'],
  ['XINFO', 'STREAM', 'KEY'],
  ['RPUSH', 'KEY', ''],
  ['LTRIM', 'KEY', '0', '0'],
  ['BLMPOP', '1', '1', 'KEY', 'LEFT'],
  ['EVAL', 'return 1', '0'],
  ['EVALSHA', '0', '0'],
  ['GET', 'KEY'],
  ['SET', 'KEY', ''],
  ['DEL', 'KEY'],
  ['HMGET', 'KEY', ''],
  ['HSET', 'KEY', '', ''],
  ['HEXISTS', 'KEY', ''],
  ['PUBLISH', 'KEY', ''],
  ['UNSUBSCRIBE', 'KEY'],
  ['SUNSUBSCRIBE', 'KEY'],
  ['TIME'],
  ['INCR', 'KEY'],
  ['DECR', 'KEY'],
  ['PEXPIRE', 'KEY', '1'],
  ['PTTL', 'KEY'],
];

/** What a cluster's client says before a command for a key whose slot is just moving. It does not catch a refusal. */
const CLUSTER_COMMANDS: readonly CommandLine[] = [['ASKING']];

/**
 * Asks Redis whether it knows all needed commands, and permits them to this user. It checks each command of a transaction when
 * that is queued, and the transaction is then discarded.
 */
async function tryCommands(redis: Redis, name: string, commands: readonly CommandLine[]): Promise<void> {
  try {
    await redis.call('MULTI');
  } catch {
    return; // A user who may not use MULTI may still be permitted all the rest.
  }
  const answers = await Promise.allSettled(
    commands.map(([command, ...args]) =>
      redis.call(command, ...args.map((it) => (it === 'KEY' ? name : it))),
    ),
  );
  await redis.call('DISCARD');
  for (const answer of answers) {
    // Other errors are ignored: no memory left, a slot that is elsewhere, a server that is a replica just now.
    if (answer.status === 'rejected' && /NOPERM|unknown command/i.test(answer.reason.message))
      throw answer.reason;
  }
}

function clientFor(target: RedisTarget, because: (error: Error) => void): Redis {
  const redis = new Redis({
    ...optionsOf(target, 'parley:probe'),
    lazyConnect: true,
    retryStrategy: null,
    sentinelRetryStrategy: () => null,
    maxRetriesPerRequest: 0,
  });
  redis.on('error', because);
  redis.on('sentinelError', ({ message }: Error) => {
    // The answer of a Sentinel that does not know the name.
    const unknown = target.kind === 'sentinel' && /invalid reply: null|no such master/i.test(message);
    because(new Error(unknown ? `the Sentinels know no master named '${target.master}'` : message));
  });
  return redis;
}

function clusterFor(
  target: Extract<RedisTarget, { kind: 'cluster' }>,
  because: (error: Error) => void,
): Cluster {
  const cluster = new Cluster([...target.nodes], {
    ...CLUSTER_OPTIONS,
    lazyConnect: true,
    // If this fails, the client gives up and does not say so. `ask` looks at the same.
    enableReadyCheck: false,
    clusterRetryStrategy: null,
    maxRedirections: 3,
    redisOptions: optionsOf(target, 'parley:probe'),
  });
  cluster.on('error', () => {}); // It only says that no node could be used.
  cluster.on('node error', because);
  return cluster;
}
