import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { probeRedis } from '../../src/bus/redis/probe.ts';
import { RequestTimeout } from '../../src/core/bus.ts';
import type { RedisForm } from '../support/redis-topologies.ts';
import { waitFor } from '../support/wait.ts';
import { busSuite, numbers, PATIENCE_MS, payloads, readAll, until } from './bus-suite.ts';
import { type RedisBusFixture, type RedisHome, redisBusFixture, startHome } from './redis-fixture.ts';

/** What every bus promises, and what the bus over Redis does beside that, in each of these forms of Redis. */
export function redisBusSuites(forms: readonly RedisForm[]): void {
  for (const { name, start } of forms) {
    describe(name, () => {
      const cleanups: (() => Promise<void>)[] = [];
      let home: RedisHome;
      let last: RedisBusFixture | undefined;
      before(async () => {
        home = await startHome(start, { after: (task) => cleanups.unshift(task) });
      });
      after(async () => {
        await last?.close();
        for (const task of cleanups) await task();
      });
      /** What the test before left is gone: its keys, and its members, who would answer requests of this one. */
      const fixture = async (): Promise<RedisBusFixture> => {
        await last?.close();
        await home.flush();
        last = redisBusFixture(home);
        return last;
      };
      busSuite(name, fixture);
      redisBusSuite(name, () => home, fixture);
    });
  }
}

function redisBusSuite(name: string, homeOf: () => RedisHome, fixture: () => Promise<RedisBusFixture>): void {
  /** Subscriptions of this name that Redis has. */
  const channels = async (name: string): Promise<unknown[]> => {
    const { target, command } = homeOf();
    const what = target.kind === 'cluster' ? 'SHARDCHANNELS' : 'CHANNELS';
    return (await command('PUBSUB', what, `*:${name}`)).flat();
  };

  test(`${name}: the check at start finds it well, and says what is wrong with a password`, async () => {
    const { target } = homeOf();
    await probeRedis(target);
    const credentials = { username: 'nobody', password: 'hunter2' };
    await assert.rejects(
      probeRedis({ ...target, credentials }),
      (error: Error) => /WRONGPASS/.test(error.message) && !error.message.includes('hunter2'),
    );
  });

  test(`${name}: a log that was lost (FLUSHALL) is read from its new start`, async () => {
    const { member } = await fixture();
    const home = homeOf();
    const { bus } = await member();
    for (const payload of ['1', '2']) await bus.append(payload);
    const position = (await readAll(bus)).at(-1)?.position;
    await home.flush();
    await bus.append('new');
    let seen: string[] = [];
    await waitFor(
      async () => {
        seen = payloads(await bus.read(position, 10, 50));
        return seen.length > 0;
      },
      PATIENCE_MS,
      () => 'the new log was never read',
    );
    assert.deepEqual(seen, ['new']);
  });

  test(`${name}: the same when the clock went back, so that the new entries stand below the old position`, async () => {
    const { member } = await fixture();
    const home = homeOf();
    const { bus } = await member();
    const key = `${home.prefix}log`;
    await (await home.masterOf(key)).command('XADD', key, '99999999999999-7', 'b', 'from the future');
    const [entry] = await bus.read(undefined, 10, 1_000);
    assert.equal(entry?.position, '99999999999999-7');
    await home.flush();
    await bus.append('new 1');
    await bus.append('new 2');
    const seen: string[] = [];
    let position = entry?.position;
    await waitFor(
      async () => {
        const entries = await bus.read(position, 1, 50);
        seen.push(...payloads(entries));
        position = entries.at(-1)?.position ?? position;
        return seen.length >= 2;
      },
      PATIENCE_MS,
      () => `read ${seen}`,
    );
    assert.deepEqual(seen, ['new 1', 'new 2']);
  });

  test(`${name}: an empty log that was trimmed is not a lost one`, async () => {
    const { member } = await fixture();
    const { bus } = await member();
    await bus.append('1');
    const [entry] = await bus.read(undefined, 10, 1_000);
    await bus.trim(entry?.position as string);
    for (let i = 0; i < 3; i++) assert.deepEqual(await bus.read(entry?.position, 10, 30), []);
    await bus.append('2');
    assert.deepEqual(payloads(await bus.read(entry?.position, 10, 1_000)), ['2']);
  });

  test(`G5 ${name}: a subscription that was cut off is made again by itself, and onGap is called when it is in force`, async () => {
    const { member } = await fixture();
    const home = homeOf();
    const { bus } = await member();
    const other = await member();
    const heard: string[] = [];
    let gaps = 0;
    bus.onGap(() => {
      gaps++;
      // In force: what is published from now on is heard.
      void other.bus.publish([{ channel: 'a', payload: `after gap ${gaps}` }]);
    });
    await bus.subscribe('a', (payload) => heard.push(payload));
    await bus.subscribe('gone', () => {});
    bus.unsubscribe('gone');
    for (const round of [1, 2]) {
      await home.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await until(() => gaps === round, `gap ${round}`);
      await until(() => heard.includes(`after gap ${round}`), 'heard again');
    }
    assert.deepEqual(await channels('gone'), []);
  });

  test(`G5 ${name}: subscriptions that are refused when they are made again are asked for until they are taken`, async () => {
    const { member } = await fixture();
    const home = homeOf();
    const { bus } = await member();
    const heard: string[] = [];
    let gaps = 0;
    bus.onGap(() => gaps++);
    await bus.subscribe('a', (payload) => heard.push(payload));
    const user = home.target.credentials.username ?? 'default';
    // Who has lost the right is disconnected.
    await home.command('ACL', 'SETUSER', user, 'resetchannels');
    await until(async () => (await channels('a')).length === 0, 'the subscription is gone');
    await assert.rejects(
      async () => bus.subscribe('b', () => {}),
      /NOPERM/,
      'so it is back, and knows that it may not',
    );
    await assert.rejects(bus.request('x', PATIENCE_MS), /NOPERM/, 'its answer would not be heard');
    await home.command('ACL', 'SETUSER', user, '&*');
    await until(() => gaps > 0, 'the gap is told');
    await bus.publish([{ channel: 'a', payload: 'again' }]);
    await until(() => heard.includes('again'), 'heard again');
    const server = await member();
    await server.bus.serve((payload) => `${payload}!`);
    assert.equal(await bus.request('x', PATIENCE_MS), 'x!', 'whoever asked in vain is answered');
  });

  test(`G5 ${name}: a subscription that is refused from the first is told so, and asked for until it is taken, or left`, async () => {
    const { member } = await fixture();
    const home = homeOf();
    const { bus } = await member();
    const heard: string[] = [];
    const user = home.target.credentials.username ?? 'default';
    await home.command('ACL', 'SETUSER', user, 'resetchannels');
    await assert.rejects(
      bus.subscribe('a', (payload) => heard.push(payload)),
      /NOPERM/,
    );
    await assert.rejects(
      bus.subscribe('left', () => {}),
      /NOPERM/,
    );
    bus.unsubscribe('left');
    await home.command('ACL', 'SETUSER', user, '&*');
    await until(async () => (await channels('a')).length > 0, 'the subscription is made');
    await bus.publish([{ channel: 'a', payload: 'at last' }]);
    await until(() => heard.includes('at last'), 'heard');
    assert.deepEqual(await channels('left'), []);
  });

  test(`G8 ${name}: a server that closes answers what it has taken, and takes nothing more`, async () => {
    const { member } = await fixture();
    const [asker, server] = [await member(), await member()];
    const begun = Promise.withResolvers<void>();
    const served: string[] = [];
    await server.bus.serve((payload) => {
      served.push(payload);
      begun.resolve();
      // Longer than a server works without yielding to others.
      for (const until = performance.now() + 30; performance.now() < until; );
      return `${payload}!`;
    });
    const asked = numbers(4);
    const answers = Promise.all(asked.map((payload) => asker.bus.request(payload, 3_000)));
    await begun.promise;
    await server.bus.close();
    assert.deepEqual(
      await answers,
      asked.map((payload) => `${payload}!`),
    );
    assert.deepEqual(served, asked);
    await assert.rejects(asker.bus.request('late', 300), RequestTimeout);
    assert.deepEqual(served, asked);
  });

  test(`G10 ${name}: publications that this user may not make are trouble, in Redis's words, until they are taken`, async () => {
    const { member } = await fixture();
    const home = homeOf();
    const { bus } = await member();
    const publish = (): Promise<void> => bus.publish([{ channel: 'a', payload: '' }]);
    await publish();
    await until(() => bus.trouble === undefined, 'all connections are ready');
    const user = home.target.credentials.username ?? 'default';
    await home.command('ACL', 'SETUSER', user, '-publish', '-spublish');
    await assert.rejects(publish);
    assert.match(bus.trouble ?? '', /NOPERM|can't run this command/);
    await home.command('ACL', 'SETUSER', user, '+publish', '+spublish');
    await publish();
    assert.equal(bus.trouble, undefined);
  });

  test(`G6 ${name}: while Redis does not answer, publications beyond a bound are rejected, and requests that were given up are not sent`, async () => {
    const { member } = await fixture();
    const home = homeOf();
    const { bus } = await member();
    await assert.rejects(bus.request('in a queue that is flushed', 100), RequestTimeout);
    await home.flush();
    const masters = await home.masters();
    for (const redis of masters) redis.signal('SIGSTOP');
    const publication = { channel: 'a', payload: 'x' };
    const published = Promise.all(Array.from({ length: 2_000 }, () => bus.publish([publication])));
    const first = bus.request('first', PATIENCE_MS);
    try {
      await assert.rejects(bus.publish([publication]), /too many/);
      await new Promise((sent) => setImmediate(() => setImmediate(sent)));
      await Promise.allSettled(numbers(20).map((payload) => bus.request(payload, 50)));
    } finally {
      for (const redis of masters) redis.signal('SIGCONT');
    }
    await published;
    const served: string[] = [];
    await (await member()).bus.serve((payload) => {
      served.push(payload);
      return payload;
    });
    assert.equal(await first, 'first');
    assert.equal(await bus.request('last', PATIENCE_MS), 'last');
    assert.deepEqual(served, ['first', 'last']);
  });

  test(`G6 ${name}: while Redis does not answer, publications of 64 Mi units are all that waits; it is free for others once they are out`, async () => {
    const { member } = await fixture();
    const masters = await homeOf().masters();
    const { bus } = await member();
    await bus.publish([{ channel: 'a', payload: 'connected' }]);
    for (const redis of masters) redis.signal('SIGSTOP');
    const published = bus.publish([{ channel: 'a', payload: 'x'.repeat(64 * 1024 * 1024) }]);
    try {
      await assert.rejects(bus.publish([{ channel: 'a', payload: '' }]), /too many/);
    } finally {
      for (const redis of masters) redis.signal('SIGCONT');
    }
    await published;
    await bus.publish([{ channel: 'a', payload: 'more' }]);
  });

  test(`G6 ${name}: of requests that nobody serves, so many are kept, the newest`, async () => {
    const { member } = await fixture();
    const { prefix, masterOf } = homeOf();
    const key = `${prefix}requests`;
    const requests = await masterOf(key);
    await requests.command('EVAL', "for i = 1, 20000 do redis.call('RPUSH', KEYS[1], i) end", '1', key);
    await assert.rejects((await member()).bus.request('newest', 1_000), RequestTimeout);
    assert.equal(await requests.command('LLEN', key), 20_000);
    assert.equal(await requests.command('LINDEX', key, '0'), '2');
    assert.match(String(await requests.command('LINDEX', key, '-1')), /\nnewest$/);
  });

  test(`${name}: connections are listed by name`, async () => {
    const { member } = await fixture();
    const { bus } = await member();
    await bus.append('x');
    const clients = await homeOf().command('CLIENT', 'LIST');
    assert.match(clients.join(), / name=parley:test-1:commands /);
  });

  test(`${name}: a request of a machine whose clock is an hour behind is answered, one given up long ago is passed over`, async (t) => {
    const { member } = await fixture();
    const { prefix, masterOf } = homeOf();
    const asker = await member();
    const server = await member();
    const served: string[] = [];
    await server.bus.serve((payload) => {
      served.push(payload);
      return `${payload}!`;
    });
    // After the first, all know what Redis has for the time.
    assert.equal(await asker.bus.request('first', PATIENCE_MS), 'first!');
    const requests = await masterOf(`${prefix}requests`);
    const [seconds] = (await requests.command('TIME')) as string[];
    const longAgo = (Number(seconds) - 60) * 1_000;
    await requests.command('RPUSH', `${prefix}requests`, `1 answers:gone ${longAgo}\nstale`);
    const machine = Date.now;
    t.mock.method(Date, 'now', () => machine() - 3_600_000);
    const asked = asker.bus.request('second', PATIENCE_MS);
    await new Promise((sent) => setImmediate(sent));
    t.mock.restoreAll();
    assert.equal(await asked, 'second!');
    assert.deepEqual(served, ['first', 'second']);
  });

  for (const { hours, seenBy } of [
    { hours: 1, seenBy: 'who serves' },
    { hours: -1, seenBy: 'who asks' },
  ] as const) {
    test(`G5 ${name}: Redis's clock is set by ${hours} h, and ${seenBy} alone has looked since: requests are answered again within seconds`, async () => {
      const { member } = await fixture();
      const answer = (payload: string): string => `${payload}!`;
      const members = { asker: await member(), server: await member() };
      await members.server.bus.serve(answer);
      // After the first, all know what Redis has for the time.
      assert.equal(await members.asker.bus.request('first', 5_000), 'first!');
      const set = ({ bus: { redis } }: Awaited<ReturnType<typeof member>>): void => {
        const time = redis.time.bind(redis);
        redis.time = async () => {
          const [seconds, microseconds] = await time();
          return [Number(seconds) + hours * 3_600, microseconds] as [number, number];
        };
      };
      set(members.asker);
      set(members.server);
      const role = seenBy === 'who serves' ? 'server' : 'asker';
      await members[role].die();
      const fresh = await member();
      set(fresh);
      members[role] = fresh;
      if (role === 'server') await fresh.bus.serve(answer);
      else await fresh.bus.redis.ping();
      await waitFor(
        async () => (await members.asker.bus.request('second', 500).catch(() => '')) === 'second!',
        15_000,
        () => 'no request was answered',
      );
    });
  }

  test(`G6 ${name}: who serves has time for other things between requests that take long`, async () => {
    const { member } = await fixture();
    const asker = await member();
    const server = await member();
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await server.bus.serve((payload) => {
      const end = performance.now() + 15;
      while (performance.now() < end);
      return payload;
    });
    const asked = Array.from({ length: 20 }, (_, i) => String(i));
    const answers = await Promise.all(asked.map((payload) => asker.bus.request(payload, PATIENCE_MS)));
    clearInterval(timer);
    assert.deepEqual(answers, asked);
    assert.ok(turns >= 5, `${turns} turns in between`);
  });

  test(`G6 ${name}: joining and leaving in one turn leaves no subscription behind`, async () => {
    const { member } = await fixture();
    const { bus } = await member();
    await bus.subscribe('stays', () => {});
    const joined = bus.subscribe('goes', () => {});
    bus.unsubscribe('goes');
    await joined;
    await bus.subscribe('mark', () => {});
    assert.deepEqual(await channels('goes'), []);
  });

  test(`G6 ${name}: who leaves while Redis does not answer is not kept until it does`, async () => {
    const { member } = await fixture();
    const { bus } = await member();
    await bus.subscribe('stays', () => {});
    const masters = await homeOf().masters();
    for (const redis of masters) redis.signal('SIGSTOP');
    try {
      const joined = bus.subscribe('goes', () => {});
      // It has been asked for.
      await new Promise((asked) => setTimeout(asked, 50));
      bus.unsubscribe('goes');
      await joined;
    } finally {
      for (const redis of masters) redis.signal('SIGCONT');
    }
    await bus.subscribe('mark', () => {});
    await until(async () => (await channels('goes')).length === 0, 'no subscription is left behind');
  });

  test(`G5 ${name}: killed and started again, everything works again, and what was appended meanwhile is in the log`, {
    timeout: 90_000,
  }, async () => {
    const { member } = await fixture();
    const home = homeOf();
    const { bus } = await member();
    const server = await member();
    await server.bus.serve((payload) => `${payload}!`);
    const heard: string[] = [];
    let gaps = 0;
    bus.onGap(() => gaps++);
    await bus.subscribe('a', (payload) => heard.push(payload));
    await bus.append('before');
    const [before] = await bus.read(undefined, 10, 1_000);
    const masters = await home.masters();
    for (const redis of masters) await redis.kill();
    const appended = bus.append('meanwhile');
    await assert.rejects(bus.request('x', 200));
    for (const redis of masters) await redis.start();
    await appended;
    await until(() => gaps > 0, 'the gap is told');
    await until(() => {
      void bus.publish([{ channel: 'a', payload: 'again' }]);
      return heard.includes('again');
    }, 'heard again');
    assert.equal(await bus.request('x', PATIENCE_MS), 'x!');
    const rest = payloads(await readAll(bus, before?.position));
    assert.ok(rest.includes('meanwhile'), `${rest}`);
  });
}
