import { Redis } from 'ioredis';

/** A connection that has not answered for this long is dead, whatever TCP says, in milliseconds. */
const SILENCE_MS = 3_000;
const CHECK_EVERY_MS = 1_000;

/** Opens a connection that comes back by itself, for ever, and notices by itself when it is dead. */
export function connectRedis(url: string, name: string): Redis {
  const redis = new Redis(url, {
    connectionName: name,
    // Commands wait for the connection to come back; how long is for their callers to bound.
    maxRetriesPerRequest: null,
    // Subscriptions are made again by their owner, who then knows when they are in force.
    autoResubscribe: false,
    connectTimeout: SILENCE_MS,
    // A dead peer does not answer our FIN either: don't wait for it.
    disconnectTimeout: 100,
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 5), 500) * (0.5 + Math.random() / 2),
  });
  // Connection errors show as reconnects and, if they last, in /readyz.
  redis.on('error', () => {});
  return redis;
}

/**
 * Watches a connection: a half-open one is silent for some 15 minutes before TCP gives up on it, and one whose peer
 * accepts but never greets would wait for ever.
 * @returns a function that ends the watch
 */
export function watchConnection(redis: Redis): () => void {
  let silentSince: number | undefined;
  const timer = setInterval(() => {
    const connected = redis.status === 'connect' || redis.status === 'ready';
    if (!connected) {
      silentSince = undefined;
    } else if (silentSince === undefined) {
      silentSince = Date.now();
      // Before it is ready, its own greeting is what must be answered.
      if (redis.status === 'ready')
        redis.ping().then(
          () => (silentSince = undefined),
          () => {},
        );
    } else if (Date.now() - silentSince > SILENCE_MS) {
      silentSince = undefined;
      redis.disconnect(true);
    }
  }, CHECK_EVERY_MS);
  const heard = (): void => {
    silentSince = undefined;
  };
  redis.on('ready', heard);
  timer.unref();
  return () => {
    clearInterval(timer);
    redis.off('ready', heard);
  };
}

/**
 * Whether Redis answers, for the one check at start.
 * @throws Error with the reason in a few words, without a full stop
 */
export async function probeRedis(url: string): Promise<void> {
  const redis = new Redis(url, {
    lazyConnect: true,
    retryStrategy: null,
    connectTimeout: SILENCE_MS,
    disconnectTimeout: 100,
    maxRetriesPerRequest: 0,
  });
  let reason: Error | undefined;
  redis.on('error', (error: Error) => {
    reason ??= error;
  });
  // One that takes the connection and says nothing must not hold up the start for ever.
  const patience = setTimeout(() => {
    reason ??= new Error(`no answer within ${SILENCE_MS / 1000} s`);
    redis.disconnect();
  }, SILENCE_MS);
  try {
    await redis.connect();
    await redis.ping();
  } catch (error) {
    throw new Error((reason ?? (error as Error)).message.replace(/\.$/, ''), { cause: error });
  } finally {
    clearTimeout(patience);
    redis.disconnect();
  }
}

/**
 * What every key and channel of a cluster begins with. Pub/sub does not know database numbers, so the number is part
 * of it: two clusters on two numbers of one Redis stay apart.
 */
export function keyPrefix(url: string): string {
  const database = new URL(url).pathname.slice(1) || '0';
  return `parley:${database}:`;
}

/** The URL without its password, for logs. */
export function redactUrl(url: string): string {
  const redacted = new URL(url);
  if (redacted.password) redacted.password = '***';
  return redacted.href;
}
