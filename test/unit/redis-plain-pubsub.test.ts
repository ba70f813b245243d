import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { Redis } from 'ioredis';
import type { RedisConnections } from '../../src/bus/redis/connection.ts';
import { PlainPubSub } from '../../src/bus/redis/plain-pubsub.ts';
import { settle } from '../support/scripted-bus.ts';

/** A subscriber's connection. Redis refuses everything as long as it is told to. */
class Subscriber extends EventEmitter {
  status = 'ready';
  readonly stream = { writable: true };
  refuses = true;
  readonly asked: string[] = [];

  async subscribe(...channels: string[]): Promise<void> {
    this.asked.push(...channels);
    if (this.refuses) throw new Error('NOPERM');
  }
  async unsubscribe(): Promise<void> {}

  /** It has begun to end its connection, and says so later. */
  leave(): void {
    this.stream.writable = false;
  }

  become(status: 'close' | 'ready'): void {
    this.status = status;
    this.stream.writable = status === 'ready';
    this.emit(status);
  }
}

test('G6: while the connection is lost, subscriptions that were refused are not asked for: the client would keep them for channels that are left meanwhile', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const subscriber = new Subscriber();
  let gaps = 0;
  const pubSub = new PlainPubSub(
    { open: () => subscriber } as unknown as RedisConnections,
    { defineCommand() {} } as unknown as Redis,
    { message() {}, gap: () => gaps++ },
  );
  const [refused] = pubSub.subscribe(['a']);
  await assert.rejects(refused as Promise<void>, /NOPERM/);
  await settle();
  subscriber.leave();
  const [early] = pubSub.subscribe(['d']);
  subscriber.become('close');
  pubSub.unsubscribe('d');
  await early;
  const [left, kept] = pubSub.subscribe(['b', 'c']);
  t.mock.timers.tick(500);
  assert.deepEqual(subscriber.asked, ['a']);
  pubSub.unsubscribe('b');
  await left;
  subscriber.refuses = false;
  subscriber.become('ready');
  await kept;
  await settle();
  assert.deepEqual(subscriber.asked, ['a', 'a', 'c']);
  assert.equal(gaps, 1);
});
