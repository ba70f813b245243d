import type { Redis } from 'ioredis';
import { chunks } from '../base/chunks.ts';
import type { Publication } from '../core/bus.ts';
import type { RedisClient, RedisConnections } from './redis-connection.ts';
import { PUBLISH_MAX, type PubSubListener, type RedisPubSub } from './redis-pubsub.ts';

const SUBSCRIBE_MAX = 1_000;
/** Subscriptions that were refused are asked for again after this, in milliseconds: somebody may mend what this user may do. */
const RETRY_AFTER_MS = 500;
/**
 * One call publishes a whole batch: 3–5 µs each, against 8 for a PUBLISH of its own. A server that was the master refuses a script
 * of this kind, as it refuses what writes (READONLY): who only publishes would stay with it.
 */
const PUBLISH_SCRIPT = `#!lua flags=allow-oom
for i = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[i], ARGV[i + 1]) end`;

type PublishCommand = { parleyPublish(...args: string[]): Promise<unknown> };
type Waiter = { resolve(): void; reject(error: Error): void };

/** Pub/sub of one server: one connection that subscribes. */
export class PlainPubSub implements RedisPubSub {
  readonly #publisher: Redis & PublishCommand;
  readonly #subscriber: RedisClient;
  readonly #listener: PubSubListener;
  readonly #channels = new Set<string>();
  /** Those who subscribe, until they are answered: perhaps by the next connection. */
  readonly #waiting = new Set<Waiter>();
  #lost = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(connections: RedisConnections, commands: Redis, listener: PubSubListener) {
    commands.defineCommand('parleyPublish', { numberOfKeys: 0, lua: PUBLISH_SCRIPT });
    this.#publisher = commands as Redis & PublishCommand;
    this.#listener = listener;
    // What is wanted is all asked for when it is back: what comes and goes meanwhile must not pile up.
    this.#subscriber = connections.open('subscriber', { autoResendUnfulfilledCommands: false });
    this.#subscriber.on('message', (channel: string, payload: string) => listener.message(channel, payload));
    this.#subscriber.on('ready', () => this.#subscribeAll());
    this.#subscriber.on('close', () => {
      this.#lost = true;
    });
  }

  async publish(publications: readonly Publication[]): Promise<void> {
    await Promise.all(
      chunks(publications, PUBLISH_MAX).map((some) =>
        this.#publisher.parleyPublish(...some.flatMap(({ channel, payload }) => [channel, payload])),
      ),
    );
  }

  subscribe(channels: readonly string[]): Promise<void> {
    for (const channel of channels) this.#channels.add(channel);
    const { promise, ...waiter } = Promise.withResolvers<void>();
    this.#waiting.add(waiter);
    if (this.#subscriber.status === 'ready') {
      this.#ask(channels).then(
        () => this.#settle([waiter]),
        (error: Error) => this.#settle([waiter], error),
      );
    }
    return promise;
  }

  unsubscribe(channel: string): void {
    this.#channels.delete(channel);
    if (this.#subscriber.status === 'ready') this.#subscriber.unsubscribe(channel).catch(() => {});
  }

  #subscribeAll(): void {
    clearTimeout(this.#retry);
    const waiting = [...this.#waiting];
    this.#ask([...this.#channels]).then(
      () => {
        this.#settle(waiting);
        if (this.#lost) this.#listener.gap();
        this.#lost = false;
      },
      (error: Error) => {
        this.#settle(waiting, error);
        this.#lost = true;
        if (this.#subscriber.status === 'ready')
          this.#retry = setTimeout(() => this.#subscribeAll(), RETRY_AFTER_MS).unref();
      },
    );
  }

  /** Never settles if the connection is lost before the answer. */
  async #ask(channels: readonly string[]): Promise<void> {
    await Promise.all(chunks(channels, SUBSCRIBE_MAX).map((some) => this.#subscriber.subscribe(...some)));
  }

  #settle(waiters: readonly Waiter[], error?: Error): void {
    for (const waiter of waiters) {
      this.#waiting.delete(waiter);
      if (error === undefined) waiter.resolve();
      else waiter.reject(error);
    }
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#channels.clear();
    this.#settle([...this.#waiting], new Error('The bus is closed.'));
  }
}
