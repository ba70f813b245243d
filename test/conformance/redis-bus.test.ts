import { after, before, describe } from 'node:test';
import { REDIS_FORMS } from '../support/redis-topologies.ts';
import { busSuite } from './bus-suite.ts';
import { type RedisBusBench, type RedisHome, redisBusBench, startHome } from './redis-bench.ts';
import { redisBusSuite } from './redis-bus-suite.ts';

for (const { name, start } of REDIS_FORMS) {
  describe(name, () => {
    const cleanups: (() => Promise<void>)[] = [];
    let home: RedisHome;
    let last: RedisBusBench | undefined;
    before(async () => {
      home = await startHome(start, { after: (task) => cleanups.unshift(task) });
    });
    after(async () => {
      await last?.close();
      for (const task of cleanups) await task();
    });
    /** What the test before left is gone: its keys, and its members, who would answer requests of this one. */
    const bench = async (): Promise<RedisBusBench> => {
      await last?.close();
      await home.flush();
      last = redisBusBench(home);
      return last;
    };
    busSuite(name, bench);
    redisBusSuite(name, () => home, bench);
  });
}
