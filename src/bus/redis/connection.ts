import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import type { RedisAddress, RedisCredentials, RedisTarget } from '../../config/redis-url.ts';
import { RedisRefusals } from './refusals.ts';
import { SILENCE_MS, watchCluster, watchConnection, watchMaster } from './watch.ts';

/** Connections of a cluster are its nodes'; it has the same commands. */
export type RedisClient = Redis | Cluster;

/**
 * Has a client let go of what a command carried once it is answered. ioredis gives each command a function literal as a
 * property. V8 allocates such a literal among what lives long, so it is found dead by full collections only, and until
 * then keeps what it refers to: the command, its arguments, and its answer. Measured at half of the full load: a scavenge
 * took 7 ms in the writer and 3 in a gateway, and takes 1 with this.
 * @param refusals gets to know what was refused
 */
function forgetAnswered(client: RedisClient, refusals: RedisRefusals): void {
  const send: Redis['sendCommand'] = client.sendCommand.bind(client);
  // A cluster passes itself more than the two that are declared.
  client.sendCommand = (...sent: Parameters<typeof send>) => {
    const [command] = sent;
    const name = nameOf(command);
    command.promise.then(
      () => {
        command.args = [];
        refusals.taken(name);
      },
      (error: Error) => {
        command.args = [];
        refusals.refused(name, error);
      },
    );
    return send(...sent);
  };
}

/** What refusals know a command as: each script is one of its own. */
const nameOf = ({ name, args }: { readonly name: string; readonly args: readonly unknown[] }): string =>
  name === 'evalsha' ? String(args[0]) : name;

/** A cluster's slots are looked up this often even if nothing fails, in milliseconds: a cut-off master says nothing. */
const SLOTS_EVERY_MS = 5_000;
/** Before a command follows its slot, or is tried again while a slot has no master, in milliseconds. */
const FOLLOW_AFTER_MS = 20;
const RETRY_AFTER_MS = 100;

/** The wait before a connection is tried again, in milliseconds: doubled each time up to the most, half of it at random. */
const FIRST_WAIT_MS = 50;
const WAIT_MAX_MS = 500;

const backOff = (attempt: number): number =>
  Math.min(FIRST_WAIT_MS * 2 ** attempt, WAIT_MAX_MS) * (0.5 + Math.random() / 2);

type Kept = {
  readonly unwatch: () => void;
  /** The newest error since it was last ready. */
  error: string | undefined;
};

/** The connections of one bus: each comes back by itself, for ever, and notices by itself when it is dead. */
export class RedisConnections {
  readonly #target: RedisTarget;
  readonly #name: string;
  readonly #open = new Map<RedisClient, Kept>();
  /** Of those that were opened for commands and subscriptions; others who ask Redis themselves tell it, too. */
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

  /** Opens a connection to what the URL names. */
  open(purpose: string, more: RedisOptions = {}): RedisClient {
    const options = { ...this.#options(purpose), ...more };
    if (this.#target.kind === 'cluster') {
      const cluster = new Cluster([...this.#target.nodes], { ...CLUSTER_OPTIONS, redisOptions: options });
      watchCluster(cluster);
      return this.#keep(cluster, () => {});
    }
    const redis = new Redis({ ...options, retryStrategy: backOff });
    return this.#keep(redis, watchConnection(redis));
  }

  /** Opens a connection to one node of a cluster. What it was asked and had not answered when it is lost, is dropped. */
  openNode(purpose: string, address: RedisAddress): Redis {
    const redis = new Redis({
      ...this.#options(purpose),
      ...address,
      retryStrategy: backOff,
      autoResendUnfulfilledCommands: false,
    });
    return this.#keep(redis, watchConnection(redis));
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
    for (const [client, { error }] of this.#open)
      if (client.status !== 'ready') return error ?? this.refusals.trouble ?? 'the connection is lost';
    return this.refusals.trouble;
  }

  #keep<Client extends RedisClient>(client: Client, unwatch: () => void): Client {
    const kept: Kept = { unwatch, error: undefined };
    const failed = (error: NodeJS.ErrnoException): void => {
      // A name with several addresses fails with an AggregateError, which has no message.
      kept.error = error.message || error.code;
    };
    // A cluster's own error says only that no node could be used.
    if (client instanceof Cluster) client.on('error', () => {}).on('node error', failed);
    else client.on('error', failed);
    client.on('ready', () => {
      kept.error = undefined;
    });
    forgetAnswered(client, this.refusals);
    this.#open.set(client, kept);
    return client;
  }

  #options(purpose: string): RedisOptions {
    return {
      ...optionsOf(this.#target, this.#nameOf(purpose)),
      // It was the master: the address may lead to another one by now, where the command is sent again.
      reconnectOnError: (error) => {
        if (!error.message.startsWith('READONLY')) return false;
        const { command } = error as { command?: { name: string; args: unknown[] } };
        // Its sender is not told, and where no other is the master, this is all there is to say.
        if (command !== undefined) this.refusals.refused(nameOf(command), error);
        return 2;
      },
    };
  }

  #reconnect(): void {
    for (const client of this.#open.keys()) {
      // One that is connecting just now asks a Sentinel anyway.
      if (client.status === 'connect' || client.status === 'ready') client.disconnect(true);
    }
  }

  #nameOf(purpose: string): string {
    // Redis takes no spaces in it.
    return `parley:${this.#name.replaceAll(' ', '-')}:${purpose}`;
  }
}

/** Of every connection, to servers and to Sentinels. */
const COMMON_OPTIONS = {
  // Commands wait for the connection to come back; how long is for their callers to bound.
  maxRetriesPerRequest: null,
  connectTimeout: SILENCE_MS,
  // A dead peer does not answer our FIN either: don't wait for it.
  disconnectTimeout: 100,
} as const satisfies RedisOptions;

/** Options for a connection to a server; to whichever is the master, if Sentinels are asked. */
export function optionsOf(target: RedisTarget, name: string): RedisOptions {
  const options: RedisOptions = {
    ...COMMON_OPTIONS,
    ...target.credentials,
    connectionName: name,
    // Subscriptions are made again by their owner, who then knows when they are in force.
    autoResubscribe: false,
    ...(target.tls && { tls: {} }),
  };
  switch (target.kind) {
    case 'single':
      return { ...options, ...target.address, db: target.database };
    case 'sentinel': {
      const { username, password } = target.sentinelCredentials;
      return {
        ...options,
        db: target.database,
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
  // As with one server, commands wait until somebody serves their slot again.
  maxRedirections: Number.POSITIVE_INFINITY,
  retryDelayOnMoved: FOLLOW_AFTER_MS,
  retryDelayOnFailover: RETRY_AFTER_MS,
  retryDelayOnClusterDown: RETRY_AFTER_MS,
  retryDelayOnTryAgain: RETRY_AFTER_MS,
  slotsRefreshInterval: SLOTS_EVERY_MS,
  // The names as they were given: a certificate is for a name, not for what it resolves to.
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
 * What every key and channel of a cluster begins with. Pub/sub does not know database numbers, so the number is part
 * of it: two clusters on two numbers of one Redis stay apart.
 */
export function keyPrefix(target: RedisTarget): string {
  return `parley:${target.kind === 'cluster' ? 0 : target.database}:`;
}
