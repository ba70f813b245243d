import { type Cluster, Redis, type RedisOptions, ReplyError } from 'ioredis';

/** A connection that does not answer for this long is dead, whatever TCP says, in milliseconds. */
export const SILENCE_MS = 3_000;
/** How that is told. */
export const NO_ANSWER = `no answer for ${SILENCE_MS / 1000} s`;
/**
 * A subscriber's ping is given up after this, even while messages come, in milliseconds: what it sends may get lost alone. Then
 * no new subscription becomes active.
 */
const SUBSCRIBER_PING_MS = 30_000;
const CHECK_EVERY_MS = 1_000;
/** The wait before the next Sentinel is asked, in milliseconds. */
const NEXT_SENTINEL_MS = 500;

type Handle = { readonly writeQueueSize?: number; readonly _parent?: Handle };

/**
 * Bytes that were written to the connection and not yet taken by the system. Streams count a long command as one write, as does
 * TLS, and only when all of it is taken. Node's own socket time-out uses this figure for the same reason.
 */
function unsentOf({ stream }: Redis): number {
  const { _handle: handle } = stream as { _handle?: Handle | null };
  return (handle?._parent ?? handle)?.writeQueueSize ?? 0;
}

/**
 * Watches a connection. TCP takes some 15 minutes to give up on a half-open one, and a peer that accepts but never greets would
 * keep the client waiting for ever.
 * @param purpose what it was opened for (connection.ts)
 * @returns a function that ends the watch
 */
export function watchConnection(redis: Redis, purpose?: string): () => void {
  let silentSince: number | undefined;
  let pingedAt = 0;
  let bytesRead = 0;
  let unsent = 0;
  const heard = (): void => {
    silentSince = undefined;
  };
  const timer = setInterval(() => {
    const connected = redis.status === 'connect' || redis.status === 'ready';
    const now = performance.now();
    const sends = connected && unsent > 0 && unsentOf(redis) !== unsent;
    const receives = connected && redis.stream.bytesRead !== bytesRead;
    if (!connected) {
      silentSince = undefined;
    } else if (silentSince === undefined) {
      silentSince = now;
      pingedAt = now;
      // Until it is ready, the client's own greeting is what must be answered.
      if (redis.status === 'ready')
        redis.ping().then(heard, (error) => {
          // A refusal is an answer, too: a Redis that can't write to its disk refuses even this.
          if (error instanceof ReplyError) heard();
        });
    } else if (sends) {
      // The ping waits behind a long command that makes progress. On another connection, it would take as long.
      silentSince = now;
      pingedAt = now;
    } else if (receives && (purpose !== 'subscriber' || now - pingedAt < SUBSCRIBER_PING_MS)) {
      // The same with a long answer.
      silentSince = now;
    } else if (now - silentSince > SILENCE_MS - CHECK_EVERY_MS / 2) {
      // Half an interval of slack makes this the third check after the ping, and never the fourth: at most 4 s after the silence began.
      silentSince = undefined;
      redis.emit('error', new Error(NO_ANSWER));
      redis.disconnect(true);
    }
    if (connected) {
      bytesRead = redis.stream.bytesRead;
      unsent = unsentOf(redis);
    }
  }, CHECK_EVERY_MS);
  redis.on('ready', heard);
  timer.unref();
  return () => {
    clearInterval(timer);
    redis.off('ready', heard);
  };
}

/** Watches the connection to every node of a cluster, including later nodes. Each watch ends with its node's connection. */
export function watchCluster(cluster: Cluster): void {
  cluster.on('+node', (node: Redis) => node.once('end', watchConnection(node)));
}

/**
 * Listens to one of the Sentinels for a new master. The old one may still live, and take commands for ten more seconds before
 * Sentinel makes it a replica: no client must stay with it.
 * @param sentinels options to connect to each
 * @returns a function that ends the watch
 */
export function watchMaster(
  sentinels: readonly RedisOptions[],
  master: string,
  onSwitch: () => void,
): () => void {
  let known: string | undefined;
  let turn = 0;
  let end = (): void => {};
  const learn = (address: string): void => {
    if (known !== undefined && known !== address) onSwitch();
    known = address;
  };
  const listenToNext = (): void => {
    const redis = new Redis({
      ...sentinels[turn++ % sentinels.length],
      retryStrategy: null,
      enableReadyCheck: false,
    });
    const unwatch = watchConnection(redis);
    let next: NodeJS.Timeout | undefined;
    redis.on('error', () => {});
    redis.on('message', (_, text: string) => {
      const [name, , , host, port] = text.split(' ');
      if (name === master) learn(`${host}:${port}`);
    });
    redis.on('ready', async () => {
      try {
        await redis.subscribe('+switch-master');
        const address = await redis.call('SENTINEL', 'get-master-addr-by-name', master);
        if (Array.isArray(address)) learn(address.join(':'));
      } catch {} // The connection was lost: the next Sentinel is asked.
    });
    redis.once('end', () => {
      unwatch();
      next = setTimeout(listenToNext, NEXT_SENTINEL_MS);
      next.unref();
    });
    end = () => {
      redis.removeAllListeners('end');
      clearTimeout(next);
      unwatch();
      redis.disconnect();
    };
  };
  listenToNext();
  return () => end();
}
