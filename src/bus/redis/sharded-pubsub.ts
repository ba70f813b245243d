import type { Cluster, Redis } from 'ioredis';
import { chunks } from '../../base/chunks.ts';
import type { Publication } from '../../core/bus.ts';
import type { RedisConnections } from './connection.ts';
import { isSending, type PubSubListener, type RedisPubSub, type Waiter } from './pubsub.ts';
import { ShardedPublisher } from './sharded-publisher.ts';
import { addressOf, type NodeKey, ownerOf, slotOf } from './slots.ts';

/** Channels per command. All of them must be in one slot. */
const SUBSCRIBE_MAX = 1_000;
/** The delay before a requested look at the slots, in milliseconds. */
const REFRESH_AFTER_MS = 100;
/** The minimum time between reported gaps, in milliseconds. Each gap makes gateways read the store, and thousands of slots may move. */
const GAP_EVERY_MS = 1_000;
/** Errors that pass once the slots are looked up again. Others, such as NOPERM, are reported to the subscriber. */
const PASSING = /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|LOADING|MASTERDOWN)\b|connection|timed out/i;

type Subscription = {
  readonly channel: string;
  readonly slot: number;
  shard: Shard | undefined;
  state: 'wanted' | 'asked' | 'in force';
  readonly waiters: Waiter[];
};
/** The subscriptions at one master. */
type Shard = {
  readonly redis: Redis;
  readonly subscriptions: Set<Subscription>;
  /** Subscriptions that were in force, here or at another master, and are to be again. */
  readonly lost: Set<Subscription>;
  /** Answers to requests of an earlier round are ignored. */
  round: number;
  /** Something was lost, and the listener has not been told. */
  gap: boolean;
};

/**
 * Sharded pub/sub: each channel lives at the master of its slot. Subscriptions follow their slots, with a connection to each
 * master. (ioredis has such a subscriber, but it does not say when lost subscriptions are in force again.)
 *
 * wanted → (its master's connection is ready) asked → (confirmed) in force → (connection lost, slot moved) wanted
 */
export class ShardedPubSub implements RedisPubSub {
  readonly #connections: RedisConnections;
  readonly #cluster: Cluster;
  readonly #listener: PubSubListener;
  readonly #publisher: ShardedPublisher;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #shards = new Map<NodeKey, Shard>();
  #refresh: NodeJS.Timeout | undefined;
  #gapToldAt = Number.NEGATIVE_INFINITY;
  #gap: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(connections: RedisConnections, cluster: Cluster, listener: PubSubListener) {
    this.#connections = connections;
    this.#cluster = cluster;
    this.#listener = listener;
    this.#publisher = new ShardedPublisher(cluster, connections.refusals);
    cluster.on('refresh', () => this.#follow());
  }

  publish(publications: readonly Publication[]): Promise<void> {
    return this.#publisher.publish(publications);
  }

  subscribe(channels: readonly string[]): readonly Promise<void>[] {
    const inForce = channels.map((channel) => {
      const known = this.#subscriptions.get(channel);
      if (known?.state === 'in force') return Promise.resolve();
      const { promise, ...waiter } = Promise.withResolvers<void>();
      if (known !== undefined) {
        known.waiters.push(waiter);
        return promise;
      }
      const slot = slotOf(channel);
      const subscription: Subscription = {
        channel,
        slot,
        shard: undefined,
        state: 'wanted',
        waiters: [waiter],
      };
      this.#subscriptions.set(channel, subscription);
      this.#assign(subscription);
      return promise;
    });
    for (const shard of this.#shards.values()) this.#ask(shard);
    return inForce;
  }

  unsubscribe(channel: string): void {
    const subscription = this.#subscriptions.get(channel);
    if (subscription === undefined) return;
    this.#subscriptions.delete(channel);
    const { shard, state } = subscription;
    // When one slot has moved, all of its master's subscriptions are wanted again, although the connection still has the others'.
    if (shard !== undefined && state === 'wanted') this.#leave(shard, channel);
    this.#takeAway(subscription);
    for (const { resolve } of subscription.waiters) resolve();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#refresh);
    clearTimeout(this.#gap);
    this.#publisher.close();
    for (const { waiters } of this.#subscriptions.values())
      for (const { reject } of waiters) reject(new Error('The bus is closed.'));
    this.#subscriptions.clear();
  }

  /** Moves every subscription to the current master of its slot. */
  #follow(): void {
    if (this.#closed) return;
    for (const subscription of this.#subscriptions.values()) this.#assign(subscription);
    const masters = new Set(this.#cluster.slots.map((nodes) => nodes[0]));
    for (const [key, shard] of this.#shards) {
      if (masters.has(key)) this.#ask(shard);
      else if (shard.subscriptions.size === 0) {
        this.#shards.delete(key);
        this.#connections.release(shard.redis);
      }
    }
  }

  #assign(subscription: Subscription): void {
    const key = ownerOf(this.#cluster, subscription.slot);
    if (key === undefined) return;
    const shard = this.#shards.get(key) ?? this.#connect(key);
    if (subscription.shard === shard) return;
    const wasLost = this.#takeAway(subscription);
    subscription.shard = shard;
    shard.subscriptions.add(subscription);
    if (wasLost) this.#lose(shard, subscription);
  }

  /** @returns whether it was in force, or lost */
  #takeAway(subscription: Subscription): boolean {
    const { shard, state, channel } = subscription;
    if (shard === undefined) return false;
    const lost = shard.lost.delete(subscription);
    shard.subscriptions.delete(subscription);
    if (state !== 'wanted') this.#leave(shard, channel);
    subscription.shard = undefined;
    subscription.state = 'wanted';
    this.#tellGap(shard);
    return lost || state === 'in force';
  }

  #leave({ redis }: Shard, channel: string): void {
    if (isSending(redis)) redis.sunsubscribe(channel).catch(() => {});
  }

  #connect(key: NodeKey): Shard {
    const redis = this.#connections.openNode('subscriber', addressOf(key));
    const shard: Shard = { redis, subscriptions: new Set(), lost: new Set(), round: 0, gap: false };
    this.#shards.set(key, shard);
    redis.on('smessage', (channel: string, payload: string) => this.#listener.message(channel, payload));
    redis.on('ready', () => this.#ask(shard));
    redis.on('close', () => this.#loseAll(shard));
    // The node sends this when it loses a slot, and when it is asked for a channel of a slot that it lost.
    redis.on('moved', () => this.#loseAll(shard));
    return shard;
  }

  #loseAll(shard: Shard): void {
    if (this.#closed) return;
    shard.round++;
    for (const subscription of shard.subscriptions) {
      if (subscription.state === 'in force') this.#lose(shard, subscription);
      subscription.state = 'wanted';
    }
    this.#refreshSoon();
  }

  #lose(shard: Shard, subscription: Subscription): void {
    shard.lost.add(subscription);
    shard.gap = true;
  }

  /** Subscribes to a master's channels that are wanted and not asked for yet. */
  #ask(shard: Shard): void {
    if (!isSending(shard.redis)) return;
    const bySlot = new Map<number, Subscription[]>();
    for (const subscription of shard.subscriptions) {
      if (subscription.state !== 'wanted') continue;
      subscription.state = 'asked';
      const some = bySlot.get(subscription.slot);
      if (some === undefined) bySlot.set(subscription.slot, [subscription]);
      else some.push(subscription);
    }
    const { round } = shard;
    for (const ofSlot of bySlot.values()) {
      for (const some of chunks(ofSlot, SUBSCRIBE_MAX)) {
        shard.redis.ssubscribe(...some.map(({ channel }) => channel)).then(
          () => this.#confirmed(shard, round, some),
          (error: Error) => this.#refused(shard, round, some, error),
        );
      }
    }
  }

  #confirmed(shard: Shard, round: number, subscriptions: readonly Subscription[]): void {
    if (shard.round !== round) return;
    for (const subscription of subscriptions) {
      if (subscription.shard !== shard) continue;
      subscription.state = 'in force';
      shard.lost.delete(subscription);
      for (const { resolve } of subscription.waiters.splice(0)) resolve();
    }
    this.#tellGap(shard);
  }

  #refused(shard: Shard, round: number, subscriptions: readonly Subscription[], error: Error): void {
    for (const subscription of subscriptions) {
      if (shard.round === round && subscription.shard === shard) subscription.state = 'wanted';
      if (!PASSING.test(error.message))
        for (const { reject } of subscription.waiters.splice(0)) reject(error);
    }
    this.#refreshSoon();
  }

  #tellGap(shard: Shard): void {
    if (!shard.gap || shard.lost.size > 0 || this.#closed) return;
    shard.gap = false;
    this.#gap ??= setTimeout(
      () => {
        this.#gap = undefined;
        this.#gapToldAt = performance.now();
        this.#listener.gap();
      },
      Math.max(0, this.#gapToldAt + GAP_EVERY_MS - performance.now()),
    ).unref();
  }

  #refreshSoon(): void {
    this.#refresh ??= setTimeout(() => {
      this.#refresh = undefined;
      // Follows even after a failed look-up. What that leaves is asked for when a connection comes back, or fails once more.
      this.#cluster.refreshSlotsCache(() => this.#follow());
    }, REFRESH_AFTER_MS).unref();
  }
}
