import { type Cluster, Redis, type RedisOptions } from 'ioredis';

/** A connection that has not answered for this long is dead, whatever TCP says, in milliseconds. */
export const SILENCE_MS = 3_000;
const CHECK_EVERY_MS = 1_000;
/** Before another Sentinel is asked, in milliseconds. */
const NEXT_SENTINEL_MS = 500;

type Handle = { readonly writeQueueSize?: number; readonly _parent?: Handle };

/**
 * Bytes that the connection was given and the system has not taken yet. The streams count a long command as one, as does TLS, and
 * only when all of it is taken; so this is what Node's own time-out of a socket looks at.
 */
function unsentOf({ stream }: Redis): number {
  const { _handle: handle } = stream as { _handle?: Handle | null };
  return (handle?._parent ?? handle)?.writeQueueSize ?? 0;
}

/**
 * Watches a connection: a half-open one is silent for some 15 minutes before TCP gives up on it, and one whose peer
 * accepts but never greets would wait for ever.
 * @returns a function that ends the watch
 */
export function watchConnection(redis: Redis): () => void {
  let silentSince: number | undefined;
  let bytesRead = 0;
  let unsent = 0;
  const timer = setInterval(() => {
    const connected = redis.status === 'connect' || redis.status === 'ready';
    if (!connected) {
      silentSince = undefined;
    } else if (silentSince === undefined) {
      silentSince = performance.now();
      // Before it is ready, its own greeting is what must be answered.
      if (redis.status === 'ready')
        redis.ping().then(
          () => (silentSince = undefined),
          () => {},
        );
    } else if (redis.stream.bytesRead !== bytesRead || (unsent > 0 && unsentOf(redis) !== unsent)) {
      // A long answer, which the ping's is behind, or a long command before it: again on another connection, it would take as long.
      silentSince = performance.now();
    } else if (performance.now() - silentSince > SILENCE_MS - CHECK_EVERY_MS / 2) {
      // At the third check after the question, 4 s after the silence began at most: not at the fourth, by a timer's hair.
      silentSince = undefined;
      redis.emit('error', new Error(`no answer for ${SILENCE_MS / 1000} s`));
      redis.disconnect(true);
    }
    if (connected) {
      bytesRead = redis.stream.bytesRead;
      unsent = unsentOf(redis);
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

/** Watches the connection to every node of a cluster, those to come too. Ends with the nodes' own connections. */
export function watchCluster(cluster: Cluster): void {
  cluster.on('+node', (node: Redis) => node.once('end', watchConnection(node)));
}

/**
 * Hears from one of the Sentinels when another server becomes the master. The old one may live, and take commands for ten
 * seconds more before Sentinel makes it a replica: nobody must stay with it.
 * @param sentinels options to connect to each
 * @returns a function that ends it
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
      } catch {} // Its connection was lost: the next one is asked.
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
