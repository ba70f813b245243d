import { Cluster, type ClusterOptions, type Command, Redis, type RedisOptions, ReplyError } from 'ioredis';
import type { RedisAddress, RedisCredentials, RedisTarget } from '../../config/redis-url.ts';
import { GREETINGS, RedisRefusals } from './refusals.ts';
import { NO_ANSWER, SILENCE_MS, watchCluster, watchConnection, watchMaster } from './watch.ts';

/** A client for commands. A cluster's has connections to its nodes, and offers the same commands. */
export type RedisClient = Redis | Cluster;

/** Looks at each command before it is sent. */
function watchCommands(client: RedisClient, look: (command: Command) => void): void {
  const send: Redis['sendCommand'] = client.sendCommand.bind(client);
  // A cluster passes itself more arguments than the two that are declared.
  client.sendCommand = (...sent: Parameters<typeof send>) => {
    look(sent[0]);
    return send(...sent);
  };
}

/**
 * Makes a client release a command's contents once it is answered. ioredis gives each command a function literal as a property.
 * V8 allocates it in the old generation, where only a full collection finds it dead. Until then it keeps the command, its
 * arguments and its answer alive. Measured at half of the full load: a scavenge took 7 ms in the writer and 3 in a gateway, and
 * takes 1 with this.
 * @param refusals is told which commands were refused or accepted
 * @param answered called with the name of each command that Redis has answered, however
 */
function forgetAnswered(
  client: RedisClient,
  refusals: RedisRefusals,
  answered: (name: string) => void,
): void {
  watchCommands(client, (command) => {
    const name = nameOfCommand(command);
    command.promise.then(
      () => {
        command.args = [];
        refusals.taken(name);
        answered(name);
      },
      (error: Error) => {
        command.args = [];
        refusals.refused(name, error);
        if (error instanceof ReplyError) answered(name);
      },
    );
  });
}

/** What the client itself asks on a new connection: the last two for a password (of an older Redis) and for a database. */
const FIRST_ASKED: ReadonlySet<string> = new Set([...GREETINGS, 'auth', 'select']);

/** A command's name for refusals. Each script counts as a command. */
const nameOfCommand = ({
  name,
  args,
}: {
  readonly name: string;
  readonly args: readonly unknown[];
}): string => (name === 'evalsha' ? String(args[0]) : name);

/** How often a Redis that is loading its data is asked whether it is done, in milliseconds. Less often, it would pass for silent. */
const LOADED_EVERY_MS = 500;

/**
 * Tells, in Redis's own words, when it is still loading its data. It serves nothing meanwhile, and the client waits for it: it is
 * connected, and not ready. A cluster's client does not ask for it.
 */
export function watchLoading(client: Redis, tell: (error: Error) => void): void {
  watchCommands(client, ({ name, promise }) => {
    if (name !== 'info') return;
    promise.then(
      (answer: unknown) => {
        if (/^loading:1/m.test(String(answer)))
          tell(new Error('LOADING Redis is loading the dataset in memory'));
      },
      () => {},
    );
  });
}

/** How often a cluster's slots are looked up even if nothing fails, in milliseconds: a cut-off master does not report it. */
const SLOTS_EVERY_MS = 5_000;
/** The wait before a command follows its slot, and before it is retried while a slot has no master, in milliseconds. */
const FOLLOW_AFTER_MS = 20;
const RETRY_AFTER_MS = 100;

/** The wait before reconnecting, in milliseconds. It doubles each time up to the maximum, and half of it is random. */
const FIRST_WAIT_MS = 50;
const WAIT_MAX_MS = 500;

const backOff = (attempt: number): number =>
  Math.min(FIRST_WAIT_MS * 2 ** attempt, WAIT_MAX_MS) * (0.5 + Math.random() / 2);

type Kept = {
  readonly unwatch: () => void;
  /** The latest error since the client was last ready. */
  error: string | undefined;
  /** Redis had fallen silent, and has answered nothing but greetings since: it may serve only part of what it is asked. */
  silent: boolean;
};

/** The connections of one bus. Each reconnects by itself, for ever, and detects by itself that it is dead. */
export class RedisConnections {
  readonly #target: RedisTarget;
  readonly #name: string;
  readonly #open = new Map<RedisClient, Kept>();
  /** Refusals on the connections opened here. Others that use Redis themselves report theirs, too. */
  readonly refusals = new RedisRefusals();
  #unwatchMaster: (() => void) | undefined;

  /** @param name what Redis lists the connections as */
  constructor(target: RedisTarget, name: string) {
    this.#target = target;
    this.#name = name;
    if (target.kind === 'sentinel') {
      this.#unwatchMaster = watchMaster(
        sentinelsOf(target).map((sentinel) => ({ ...sentinel, connectionName: this.#nameOf('sentinel') })),
        target.master,
        () => this.#reconnect(),
      );
    }
  }

  /** Opens a connection to the target that the URL names. */
  open(purpose: string, more: RedisOptions = {}): RedisClient {
    const options = { ...this.#options(purpose), ...more };
    if (this.#target.kind === 'cluster') {
      const cluster = new Cluster([...this.#target.nodes], { ...CLUSTER_OPTIONS, redisOptions: options });
      watchCluster(cluster);
      return this.#keep(cluster, () => {});
    }
    const redis = new Redis({ ...options, retryStrategy: backOff });
    return this.#keep(redis, watchConnection(redis, purpose));
  }

  /** Opens a connection to one node of a cluster. Commands that are unanswered when it is lost are dropped. */
  openNode(purpose: string, address: RedisAddress): Redis {
    const redis = new Redis({
      ...this.#options(purpose),
      ...address,
      retryStrategy: backOff,
      maxLoadingRetryTime: LOADED_EVERY_MS,
      autoResendUnfulfilledCommands: false,
    });
    return this.#keep(redis, watchConnection(redis, purpose));
  }

  release(client: RedisClient): void {
    this.#open.get(client)?.unwatch();
    this.#open.delete(client);
    client.disconnect();
  }

  close(): void {
    this.#unwatchMaster?.();
    for (const client of this.#open.keys()) this.release(client);
  }

  /** Why Redis does not do what it is asked, in its own words or the system's; undefined if it does. */
  get trouble(): string | undefined {
    for (const [client, { error, silent }] of this.#open)
      if (silent || client.status !== 'ready')
        return error ?? this.refusals.trouble ?? 'the connection is lost';
    return this.refusals.trouble;
  }

  #keep<Client extends RedisClient>(client: Client, unwatch: () => void): Client {
    const kept: Kept = { unwatch, error: undefined, silent: false };
    const failed = (error: NodeJS.ErrnoException): void => {
      // A host name with several addresses fails with an AggregateError, which has no message.
      kept.error = error.message || error.code;
    };
    // A cluster's own error says only that no node could be used.
    if (client instanceof Cluster) client.on('error', () => {}).on('node error', failed);
    else {
      client.on('error', failed);
      watchLoading(client, failed);
    }
    client.on('ready', () => {
      kept.silent ||= kept.error === NO_ANSWER;
      kept.error = kept.silent ? NO_ANSWER : undefined;
    });
    forgetAnswered(client, this.refusals, (name) => {
      if (!kept.silent || FIRST_ASKED.has(name)) return;
      kept.silent = false;
      kept.error = undefined;
    });
    this.#open.set(client, kept);
    return client;
  }

  #options(purpose: string): RedisOptions {
    return {
      ...optionsOf(this.#target, this.#nameOf(purpose)),
      // The server is no longer the master. After a reconnect, the address may lead to the new one, and the command is sent again.
      reconnectOnError: (error) => {
        if (!error.message.startsWith('READONLY')) return false;
        const { command } = error as { command?: { name: string; args: unknown[] } };
        // The command's sender gets no answer. If no other server is the master, this is the only sign of the problem.
        if (command !== undefined) this.refusals.refused(nameOfCommand(command), error);
        return 2;
      },
    };
  }

  #reconnect(): void {
    for (const client of this.#open.keys()) {
      // A client that is still connecting asks a Sentinel anyway.
      if (client.status === 'connect' || client.status === 'ready') client.disconnect(true);
    }
  }

  #nameOf(purpose: string): string {
    // Redis refuses spaces in the name.
    return `parley:${this.#name.replaceAll(' ', '-')}:${purpose}`;
  }
}

/** For every connection, to servers and to Sentinels. */
const COMMON_OPTIONS = {
  // Commands wait for the connection to come back. Their callers bound how long.
  maxRetriesPerRequest: null,
  connectTimeout: SILENCE_MS,
  // A dead peer does not answer our FIN either, so don't wait for it.
  disconnectTimeout: 100,
} as const satisfies RedisOptions;

/** Options for a connection to a server: with Sentinels, to the current master. */
export function optionsOf(target: RedisTarget, name: string): RedisOptions {
  const options: RedisOptions = {
    ...COMMON_OPTIONS,
    ...target.credentials,
    connectionName: name,
    // The owner of the subscriptions makes them again, and so knows when they are active.
    autoResubscribe: false,
    ...(target.tls && { tls: {} }),
  };
  switch (target.kind) {
    case 'single':
      return {
        ...options,
        ...target.address,
        db: target.database,
        maxLoadingRetryTime: LOADED_EVERY_MS,
      };
    case 'sentinel': {
      const { username, password } = target.sentinelCredentials;
      return {
        ...options,
        db: target.database,
        maxLoadingRetryTime: LOADED_EVERY_MS,
        sentinels: [...target.sentinels],
        name: target.master,
        sentinelCommandTimeout: SILENCE_MS,
        sentinelRetryStrategy: backOff,
        ...(username !== undefined && { sentinelUsername: username }),
        ...(password !== undefined && { sentinelPassword: password }),
        ...(target.tls && { sentinelTLS: {}, enableTLSForSentinelMode: true }),
      };
    }
    case 'cluster':
      return options;
  }
}

export const CLUSTER_OPTIONS: ClusterOptions = {
  clusterRetryStrategy: backOff,
  // As with a single server, commands wait until their slot is served again.
  maxRedirections: Number.POSITIVE_INFINITY,
  retryDelayOnMoved: FOLLOW_AFTER_MS,
  retryDelayOnFailover: RETRY_AFTER_MS,
  retryDelayOnClusterDown: RETRY_AFTER_MS,
  retryDelayOnTryAgain: RETRY_AFTER_MS,
  slotsRefreshInterval: SLOTS_EVERY_MS,
  // Host names stay as they were given: a certificate is for a name, not for the address it resolves to.
  dnsLookup: (host, callback) => callback(null, host),
};

function sentinelsOf(target: Extract<RedisTarget, { kind: 'sentinel' }>): RedisOptions[] {
  const credentials: RedisCredentials = target.sentinelCredentials;
  return target.sentinels.map((address) => ({
    ...COMMON_OPTIONS,
    ...address,
    ...credentials,
    ...(target.tls && { tls: {} }),
  }));
}

/**
 * The prefix of every key and channel. It includes the database number, because pub/sub ignores those: two clusters in two
 * databases of one Redis stay apart.
 */
export function keyPrefix(target: RedisTarget): string {
  return `parley:${target.kind === 'cluster' ? 0 : target.database}:`;
}
