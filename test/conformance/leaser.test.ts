import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type RedisClient, RedisConnections } from '../../src/bus/redis-connection.ts';
import { LEASE_MS, RedisLeaser } from '../../src/bus/redis-lease.ts';
import { FileLeaser } from '../../src/db/file-lock.ts';
import { REDIS_FORMS } from '../support/redis-topologies.ts';
import { temporaryFolder } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { identity, kindOf, leaserSuite } from './leaser-suite.ts';
import { type RedisHome, startHome } from './redis-bench.ts';

const folder = temporaryFolder({ after });
let files = 0;

leaserSuite('file', async () => {
  const file = `${folder}/${++files}.db`;
  return { leaser: () => new FileLeaser(file) };
});

test('file: a holder that was killed holds no more', async () => {
  const file = `${folder}/killed.db`;
  const module = path.join(import.meta.dirname, '../../src/db/file-lock.ts');
  const script = `const { FileLeaser } = await import(${JSON.stringify(module)});
    const leaser = new FileLeaser(${JSON.stringify(file)});
    console.log((await leaser.acquire()).kind); setInterval(() => leaser.renew(), 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  after(() => child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  await waitFor(
    () => said.includes('held'),
    10_000,
    () => said,
  );
  const leaser = new FileLeaser(file);
  assert.equal(await kindOf(leaser.acquire()), 'taken');
  child.kill('SIGKILL');
  await waitFor(
    async () => (await leaser.acquire()).kind === 'held',
    3_000,
    () => 'never held',
  );
  await leaser.release();
});

const LEASE = '{parley:writer}';

for (const { name, start } of REDIS_FORMS) {
  describe(name, () => {
    const cleanups: (() => Promise<void>)[] = [];
    let home: RedisHome;
    before(async () => {
      home = await startHome(start, { after: (task) => cleanups.unshift(task) });
    });
    after(async () => {
      for (const task of cleanups) await task();
    });

    type Bench = { redis: RedisClient; flush(): Promise<void>; leaser(holder: string): RedisLeaser };
    const bench = async (): Promise<Bench> => {
      const connections = new RedisConnections(home.target, 'test');
      cleanups.unshift(async () => connections.close());
      await home.flush();
      return {
        redis: connections.open('test'),
        flush: home.flush,
        leaser: (holder) => new RedisLeaser(connections.open('commands'), 'parley:', holder),
      };
    };
    leaserSuite(name, bench);

    test(`${name}: a holder that renews no more is replaced, and told so when it comes back`, async () => {
      const { redis, leaser } = await bench();
      const [one, two] = [leaser('one'), leaser('two')];
      await one.acquire(identity());
      const left = await redis.pttl(LEASE);
      assert.ok(left > 0 && left <= LEASE_MS, `${left}`);
      await redis.del(LEASE); // As if its time were over.
      assert.equal(await kindOf(two.acquire(identity())), 'held');
      assert.equal(await kindOf(one.renew(identity())), 'taken');
    });

    test(`${name}: the next writer of the same node need not wait for the lease to end`, async () => {
      const { leaser } = await bench();
      assert.equal(await kindOf(leaser('node 1').acquire(identity())), 'held');
      assert.equal(await kindOf(leaser('node 1').acquire(identity())), 'held');
    });

    for (const [what, other] of [
      ['with another database', identity({ databaseId: 'other', generation: 99 })],
      ['without a database', undefined],
    ] as const) {
      test(`G7 ${name}: a store ${what} is refused, while the lease is taken and when it is free, and after a FLUSHALL too`, async () => {
        const { flush, leaser } = await bench();
        const [one, two] = [leaser('one'), leaser('two')];
        await one.acquire(identity());
        await one.renew(identity({ generation: 5 }));
        const answer = await two.acquire(other);
        assert.equal(answer.kind, 'refused');
        assert.ok(answer.kind === 'refused' && answer.reason.length > 10);
        await one.release();
        assert.equal(await kindOf(two.acquire(other)), 'refused');
        await flush();
        assert.equal(await kindOf(two.acquire(other)), 'refused', 'once refused, refused until restart');
      });
    }

    test(`G7 ${name}: an older copy of the database is refused, after a FLUSHALL too, until it has caught up`, async () => {
      const { flush, leaser } = await bench();
      const [one, two] = [leaser('one'), leaser('two')];
      await one.acquire(identity());
      await one.renew(identity({ generation: 5 }));
      await one.release();
      assert.equal(await kindOf(two.acquire(identity({ generation: 4 }))), 'refused');
      await flush();
      assert.equal(await kindOf(two.acquire(identity({ generation: 4 }))), 'refused');
      assert.equal(await kindOf(two.acquire(identity({ generation: 5 }))), 'held');
    });

    test(`G4, G7 ${name}: a restored database (another epoch, an older generation) may write, and is remembered`, async () => {
      const { leaser } = await bench();
      const [one, two] = [leaser('one'), leaser('two')];
      await one.acquire(identity());
      await one.renew(identity({ generation: 50 }));
      await one.release();
      const restored = identity({ epoch: 'f', generation: 3 });
      assert.equal(await kindOf(two.acquire(restored)), 'held');
      assert.equal(await kindOf(two.renew(restored)), 'held');
    });

    test(`G7 ${name}: after a FLUSHALL the leader goes on, and the cluster knows its database again`, async () => {
      const { flush, leaser } = await bench();
      const [one, two] = [leaser('one'), leaser('two')];
      await one.acquire(identity());
      await one.renew(identity({ generation: 5 }));
      await flush();
      assert.equal(await kindOf(one.renew(identity({ generation: 5 }))), 'held');
      assert.equal(await kindOf(two.acquire(identity({ databaseId: 'other' }))), 'refused');
    });
  });
}
