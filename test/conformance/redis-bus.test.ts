import { after, before, describe } from 'node:test';
import { REDIS_FORMS } from '../support/redis-topologies.ts';
import { busSuite } from './bus-suite.ts';
import { redisBusSuite } from './redis-bus-suite.ts';
import { type RedisBusFixture, type RedisHome, redisBusFixture, startHome } from './redis-fixture.ts';

for (const { name, start } of REDIS_FORMS) {
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
