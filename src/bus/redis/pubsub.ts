import type { Redis } from 'ioredis';
import type { Publication } from '../../core/bus.ts';

/** What pub/sub reports to its bus. Channels are Redis's names, with the prefix. */
export interface PubSubListener {
  message(channel: string, payload: string): void;
  /** Publications may have been missed. The subscriptions are active again. */
  gap(): void;
}

/** How publications travel in one kind of Redis. */
export interface RedisPubSub {
  /** In order per channel. If it rejects, some may have been published. */
  publish(publications: readonly Publication[]): Promise<void>;
  /** Each promise resolves when its subscription is active, or no longer wanted. Lost subscriptions are made again automatically. */
  subscribe(channels: readonly string[]): readonly Promise<void>[];
  unsubscribe(channel: string): void;
  close(): void;
}

/** Publications per script call. Redis serves nobody else meanwhile. */
export const PUBLISH_MAX = 500;

/** Waits for a subscription. The answer may come over a later connection. */
export type Waiter = { resolve(): void; reject(error: Error): void };

/**
 * Whether the client would send a command at once. If not, it keeps the command for its next connection, when nobody may want it
 * any more. It still calls itself ready for a while after it has begun to leave a connection.
 */
export const isSending = ({ status, stream }: Redis): boolean => status === 'ready' && stream.writable;
