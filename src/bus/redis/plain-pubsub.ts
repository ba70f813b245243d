import type { Redis } from 'ioredis';
import { chunks } from '../../base/chunks.ts';
import type { Publication } from '../../core/bus.ts';
import type { RedisConnections } from './connection.ts';
import { isSending, PUBLISH_MAX, type PubSubListener, type RedisPubSub, type Waiter } from './pubsub.ts';

const SUBSCRIBE_MAX = 1_000;
/** Refused subscriptions are retried after this, in milliseconds: somebody may fix the user's permissions. */
const RETRY_AFTER_MS = 500;
/**
 * One call publishes a whole batch: 3–5 µs each, against 8 for a PUBLISH of its own. A server that is no longer the master
 * refuses this script as a write (READONLY). That makes a client that only publishes leave it.
 */
const PUBLISH_SCRIPT = `#!lua flags=allow-oom
for i = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[i], ARGV[i + 1]) end`;

type PublishCommand = { parleyPublish(...args: string[]): Promise<unknown> };

/** Pub/sub of a single server, with one connection for subscriptions. */
export class PlainPubSub implements RedisPubSub {
  readonly #publisher: Redis & PublishCommand;
  readonly #subscriber: Redis;
  readonly #listener: PubSubListener;
  /** The wanted channels, and who waits for each. */
  readonly #channels = new Map<string, Waiter[]>();
  #lost = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(connections: RedisConnections, commands: Redis, listener: PubSubListener) {
    commands.defineCommand('parleyPublish', { numberOfKeys: 0, lua: PUBLISH_SCRIPT });
    this.#publisher = commands as Redis & PublishCommand;
    this.#listener = listener;
    // After a reconnect, all wanted channels are subscribed anyway. Resending would pile up what came and went meanwhile.
    this.#subscriber = connections.open('subscriber', { autoResendUnfulfilledCommands: false }) as Redis;
    this.#subscriber.on('message', (channel: string, payload: string) => listener.message(channel, payload));
    this.#subscriber.on('ready', () => this.#subscribeAll());
    this.#subscriber.on('close', () => {
      this.#lost = true;
      // The client would keep what is asked now, and ask for it once it is back, whoever has left by then.
      clearTimeout(this.#retry);
    });
  }

  async publish(publications: readonly Publication[]): Promise<void> {
    await Promise.all(
      chunks(publications, PUBLISH_MAX).map((some) =>
        this.#publisher.parleyPublish(...some.flatMap(({ channel, payload }) => [channel, payload])),
      ),
    );
  }

  subscribe(channels: readonly string[]): readonly Promise<void>[] {
    const inForce = channels.map((channel) => {
      const { promise, ...waiter } = Promise.withResolvers<void>();
      const waiters = this.#channels.get(channel) ?? [];
      waiters.push(waiter);
      this.#channels.set(channel, waiters);
      return promise;
    });
    // #askForSome tells the waiters.
    if (isSending(this.#subscriber)) this.#ask(channels).catch(() => this.#retryLater());
    return inForce;
  }

  unsubscribe(channel: string): void {
    for (const { resolve } of this.#channels.get(channel)?.splice(0) ?? []) resolve();
    this.#channels.delete(channel);
    if (isSending(this.#subscriber)) this.#subscriber.unsubscribe(channel).catch(() => {});
  }

  #subscribeAll(): void {
    clearTimeout(this.#retry);
    this.#ask([...this.#channels.keys()]).then(
      () => {
        if (this.#lost) this.#listener.gap();
        this.#lost = false;
      },
      () => this.#retryLater(),
    );
  }

  #retryLater(): void {
    this.#lost = true;
    clearTimeout(this.#retry);
    if (isSending(this.#subscriber))
      this.#retry = setTimeout(() => this.#subscribeAll(), RETRY_AFTER_MS).unref();
  }

  /** Settles the waiters. Never settles itself if the connection is lost before the answer. */
  async #ask(channels: readonly string[]): Promise<void> {
    await Promise.all(chunks(channels, SUBSCRIBE_MAX).map((some) => this.#askForSome(some)));
  }

  async #askForSome(channels: readonly string[]): Promise<void> {
    // Looked up now: if a channel is left and wanted again meanwhile, the answer does not apply to it.
    const waiting = channels.map((channel) => this.#channels.get(channel) ?? []);
    try {
      await this.#subscriber.subscribe(...channels);
      for (const { resolve } of waiting.flatMap((waiters) => waiters.splice(0))) resolve();
    } catch (error) {
      for (const { reject } of waiting.flatMap((waiters) => waiters.splice(0))) reject(error as Error);
      throw error;
    }
  }

  close(): void {
    clearTimeout(this.#retry);
    for (const { reject } of [...this.#channels.values()].flat()) reject(new Error('The bus is closed.'));
    this.#channels.clear();
  }
}
