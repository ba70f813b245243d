import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { Redis } from 'ioredis';
import { watchConnection } from '../../src/bus/redis/watch.ts';

/** A connection whose pings get lost, while something comes all the time. */
class OneWay extends EventEmitter {
  readonly status = 'ready';
  readonly stream = { bytesRead: 0, _handle: { writeQueueSize: 0 } };
  left = 0;

  constructor() {
    super();
    this.on('error', () => {});
  }

  ping(): Promise<string> {
    return new Promise(() => {});
  }

  disconnect(): void {
    this.left++;
  }
}

for (const { purpose, work, leaves } of [
  { purpose: 'subscriber', work: 'receives', leaves: true },
  { purpose: 'subscriber', work: 'sends', leaves: false },
  { purpose: 'log', work: 'receives', leaves: false },
] as const) {
  test(`G5: a connection of purpose '${purpose}' that ${work} all the time and gets no answer to its ping ${leaves ? 'is left after half a minute' : 'is kept: it waits behind something long'}`, (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    let now = 0;
    t.mock.method(performance, 'now', () => now);
    const redis = new OneWay();
    const unwatch = watchConnection(redis as unknown as Redis, purpose);
    t.after(unwatch);
    const pass = (seconds: number): void => {
      for (const end = now + seconds * 1_000; now < end; ) {
        if (work === 'receives') redis.stream.bytesRead += 100;
        else redis.stream._handle.writeQueueSize = 1_000_000 - now;
        now += 1_000;
        t.mock.timers.tick(1_000);
      }
    };
    pass(30);
    assert.equal(redis.left, 0);
    pass(10);
    assert.equal(redis.left, leaves ? 1 : 0);
    pass(20);
    assert.equal(redis.left, leaves ? 1 : 0);
  });
}
