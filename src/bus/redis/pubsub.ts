import type { Publication } from '../../core/bus.ts';

/** What pub/sub tells its bus. Channels are as Redis knows them, with the prefix. */
export interface PubSubListener {
  message(channel: string, payload: string): void;
  /** Publications may have been missed, and the subscriptions are in force again. */
  gap(): void;
}

/** How publications travel in one form of Redis. */
export interface RedisPubSub {
  /** In order per channel. Rejects when it is not known whether all were handed over. */
  publish(publications: readonly Publication[]): Promise<void>;
  /**
   * Each resolves when its subscription is in force, or is not wanted any more. Subscriptions are made again, by themselves,
   * when they were lost.
   */
  subscribe(channels: readonly string[]): readonly Promise<void>[];
  unsubscribe(channel: string): void;
  close(): void;
}

/** Publications in one call of a script: Redis serves nobody else meanwhile. */
export const PUBLISH_MAX = 500;

/** Somebody who subscribes, until they are answered: perhaps by the next connection. */
export type Waiter = { resolve(): void; reject(error: Error): void };
