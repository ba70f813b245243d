import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RedisClient, RedisConnections } from '../../src/bus/redis/connection.ts';
import { LEASE_MS, RedisLeaser } from '../../src/bus/redis/lease.ts';
import { FileLeaser } from '../../src/db/file-lock.ts';
import { REDIS_FORMS } from '../support/redis-topologies.ts';
import { temporaryFolder } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { acquire, identity, kindOf, leaserSuite } from './leaser-suite.ts';
import { type RedisHome, startHome } from './redis-fixture.ts';

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
    30_000,
    () => said,
  );
  const leaser = new FileLeaser(file);
  assert.equal(await kindOf(leaser.acquire()), 'taken');
  child.kill('SIGKILL');
  await waitFor(
    async () => (await leaser.acquire()).kind === 'held',
    10_000,
    () => 'never held',
  );
  await leaser.release();
});

test('G7 file: a database has one lock by all its names, before it is made, too', async () => {
  mkdirSync(`${folder}/home`);
  symlinkSync(`${folder}/home`, `${folder}/way`);
  const [one, byFolder] = [`${folder}/home/chat.db`, `${folder}/way/chat.db`].map(
    (file) => new FileLeaser(file),
  );
  assert.equal(await kindOf((one as FileLeaser).acquire()), 'held');
  assert.deepEqual(readdirSync(`${folder}/home`), ['chat.db.lock'], 'and no journal');
  assert.equal(await kindOf((byFolder as FileLeaser).acquire()), 'taken');
  writeFileSync(`${folder}/home/chat.db`, '');
  symlinkSync(`${folder}/home/chat.db`, `${folder}/link.db`);
  assert.equal(await kindOf(new FileLeaser(`${folder}/link.db`).acquire()), 'taken');
  await (one as FileLeaser).release();
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

    type Fixture = { redis: RedisClient; flush(): Promise<void>; leaser(holder: string): RedisLeaser };
    const fixture = async (): Promise<Fixture> => {
      const connections = new RedisConnections(home.target, 'test');
      cleanups.unshift(async () => connections.close());
      await home.flush();
      return {
        redis: connections.open('test'),
        flush: home.flush,
        leaser: (holder) => new RedisLeaser(connections.open('commands'), 'parley:', holder),
      };
    };
    leaserSuite(name, fixture);

    test(`${name}: a holder that renews no more is replaced, and told so when it comes back`, async () => {
      const { redis, leaser } = await fixture();
      const [one, two] = [leaser('one'), leaser('two')];
      await one.renew(identity());
      const left = await redis.pttl(LEASE);
      assert.ok(left > 0 && left <= LEASE_MS, `${left}`);
      await redis.del(LEASE); // As if its time were over.
      assert.equal(await kindOf(two.acquire(identity())), 'held');
      assert.equal(await kindOf(one.renew(identity())), 'taken');
    });

    test(`${name}: the next writer of the same node need not wait for the lease to end`, async () => {
      const { leaser } = await fixture();
      await leaser('node 1').renew(identity());
      assert.equal(await kindOf(leaser('node 1').acquire(identity())), 'held');
    });

    test(`G7 ${name}: a store that finds a Redis without data waits: a living writer, which renews meanwhile, comes first`, async () => {
      const { flush, leaser } = await fixture();
      const [one, other] = [leaser('one'), leaser('other')];
      await one.renew(identity());
      await flush();
      const foreign = identity({ databaseId: 'other', generation: 99 });
      assert.equal(await kindOf(other.acquire(foreign)), 'undecided');
      await sleep(500);
      assert.equal(await kindOf(one.renew(identity())), 'held');
      assert.equal(await kindOf(acquire(other, foreign)), 'refused');
    });

    test(`G7 ${name}: nor does one whose writer is there, and has only lost the cluster's database, let another stand by`, async () => {
      const { redis, leaser } = await fixture();
      const [one, other] = [leaser('one'), leaser('other')];
      await one.renew(identity());
      await redis.del(`${LEASE}:database`);
      assert.equal(await kindOf(other.acquire(identity({ databaseId: 'other' }))), 'undecided');
      await one.renew(identity());
      assert.equal(await kindOf(other.acquire(identity({ databaseId: 'other' }))), 'refused');
    });

    test(`G7 ${name}: of two databases that would begin a cluster, one does; the other is not let stand by, also before that one is known`, async () => {
      const { leaser } = await fixture();
      const [one, other] = [leaser('one'), leaser('other')];
      const foreign = identity({ databaseId: 'other' });
      for (const asked of [one.acquire(identity()), other.acquire(foreign)])
        assert.equal(await kindOf(asked), 'undecided');
      await sleep(1_300);
      assert.equal(await kindOf(one.acquire(identity())), 'held');
      assert.equal(await kindOf(other.acquire(foreign)), 'undecided');
      await one.renew(identity());
      assert.equal(await kindOf(other.acquire(foreign)), 'refused');
    });

    test(`G7 ${name}: a store that was refused for another database leads when the cluster's is its own again, and is one that may begin it from then on`, async () => {
      const { redis, flush, leaser } = await fixture();
      const [one, foreign] = [leaser('one'), leaser('foreign')];
      await foreign.renew(identity({ databaseId: 'foreign' }));
      assert.equal(await kindOf(one.renew(identity())), 'refused');
      await foreign.release();
      await redis.hset(`${LEASE}:database`, 'id', 'db');
      assert.equal(await kindOf(one.acquire(identity())), 'held');
      await flush();
      assert.equal(await kindOf(one.acquire(identity())), 'undecided', 'it may lead the new cluster, soon');
    });

    test(`G5 ${name}: a Redis that takes nothing more (maxmemory) keeps no writer away`, async () => {
      const { redis, leaser } = await fixture();
      await home.command('CONFIG', 'SET', 'maxmemory', '1');
      try {
        await assert.rejects(redis.set(`${LEASE}:probe`, 'x'), /OOM/);
        const one = leaser('one');
        assert.equal(await kindOf(one.renew(identity())), 'held');
        assert.equal(await kindOf(one.acquire(identity())), 'held');
        await one.release();
      } finally {
        await home.command('CONFIG', 'SET', 'maxmemory', '0');
      }
    });

    for (const [what, other] of [
      ['with another database', identity({ databaseId: 'other', generation: 99 })],
      ['without a database', undefined],
    ] as const) {
      test(`G7 ${name}: a store ${what} is refused, while the lease is taken and when it is free, and after a FLUSHALL too`, async () => {
        const { flush, leaser } = await fixture();
        const [one, two] = [leaser('one'), leaser('two')];
        await one.renew(identity({ generation: 5 }));
        const answer = await two.acquire(other);
        assert.equal(answer.kind, 'refused');
        assert.ok(answer.kind === 'refused' && answer.reason.length > 10);
        await one.release();
        assert.equal(await kindOf(two.acquire(other)), 'refused');
        await flush();
        assert.equal(await kindOf(two.acquire(other)), 'refused', 'once refused, refused until restart');
        await sleep(1_300);
        assert.equal(
          await kindOf(two.acquire(other)),
          'refused',
          'also where another would begin the cluster',
        );
      });
    }

    for (const [what, known, old, newer] of [
      ['an older copy of the database', { generation: 5 }, { generation: 4 }, { generation: 5 }],
      [
        'a copy of the same generation that lacks transactions',
        { generation: 5, transactions: 30 },
        { generation: 5, transactions: 29 },
        { generation: 5, transactions: 30 },
      ],
    ] as const) {
      test(`G3, G4, G7 ${name}: ${what} is refused, while the lease is taken and when it is free, and after a FLUSHALL too, until it has caught up`, async () => {
        const { flush, leaser } = await fixture();
        const [one, two] = [leaser('one'), leaser('two')];
        await one.renew(identity(known));
        assert.equal(await kindOf(acquire(two, identity(old))), 'refused');
        await one.release();
        assert.equal(await kindOf(acquire(two, identity(old))), 'refused');
        await flush();
        assert.equal(await kindOf(acquire(two, identity(old))), 'refused');
        assert.equal(await kindOf(acquire(two, identity(newer))), 'held');
      });
    }

    test(`G7 ${name}: a copy that stands by is refused as soon as the file itself has grown; one that shares the file never is`, async () => {
      const { leaser } = await fixture();
      const [one, copy, shared] = [leaser('one'), leaser('copy'), leaser('shared')];
      await one.renew(identity({ transactions: 30 }));
      for (const leaser of [copy, shared])
        assert.equal(await kindOf(leaser.acquire(identity({ transactions: 30 }))), 'taken');
      await one.renew(identity({ transactions: 31 }));
      assert.equal(await kindOf(acquire(copy, identity({ transactions: 30 }))), 'refused');
      // Read just before a commit that was renewed with before the question came: it looks again.
      assert.equal(await kindOf(shared.acquire(identity({ transactions: 30 }))), 'undecided');
      assert.equal(await kindOf(shared.acquire(identity({ transactions: 31 }))), 'taken');
    });

    test(`${name}: a lease of an earlier version, which tells no transactions, is taken over`, async () => {
      const { redis, leaser } = await fixture();
      await redis.hset(`${LEASE}:database`, { id: 'db', epoch: 'e', generation: '5' });
      assert.equal(await kindOf(leaser('one').acquire(identity({ generation: 5 }))), 'held');
    });

    test(`G4, G7 ${name}: a restored database (another epoch, an older generation) may write, and is remembered`, async () => {
      const { leaser } = await fixture();
      const [one, two] = [leaser('one'), leaser('two')];
      await one.renew(identity({ generation: 50, transactions: 9 }));
      await one.release();
      const restored = identity({ epoch: 'f', generation: 3, transactions: 7 });
      assert.equal(await kindOf(two.acquire(restored)), 'held');
      assert.equal(await kindOf(two.renew(restored)), 'held');
    });

    test(`G4, G7 ${name}: a store that was refused for an old copy may write once that is restored, though its numbers are lower`, async () => {
      const { leaser } = await fixture();
      const [one, two] = [leaser('one'), leaser('two')];
      await one.renew(identity({ generation: 50, transactions: 9 }));
      await one.release();
      assert.equal(await kindOf(acquire(two, identity({ generation: 49 }))), 'refused');
      assert.equal(await kindOf(two.acquire(identity({ epoch: 'f', generation: 3 }))), 'held');
    });

    test(`G4, G7 ${name}: what a restore has ended never writes again, though the lease is free, and does not stand by to answer`, async () => {
      const { redis, flush, leaser } = await fixture();
      const [old, restored] = [leaser('old'), leaser('restored')];
      const [before, after] = [identity({ generation: 50 }), identity({ epoch: 'f', generation: 3 })];
      await old.renew(before);
      assert.equal(await kindOf(restored.acquire(after)), 'refused', 'while the old one writes');
      await old.release();
      assert.equal(await kindOf(restored.acquire(after)), 'held');
      await restored.renew(after);
      assert.equal(await kindOf(old.acquire(before)), 'refused');
      await restored.release();
      assert.equal(await kindOf(old.acquire(before)), 'refused');
      assert.equal(await kindOf(old.renew(before)), 'refused', 'one that stood still');
      assert.equal(await redis.get(LEASE), null);
      assert.equal(await kindOf(restored.acquire(after)), 'held');
      await flush();
      await restored.renew(after);
      assert.equal(await kindOf(leaser('old again').acquire(before)), 'refused');
    });

    test(`G7 ${name}: after a FLUSHALL the leader goes on, and the cluster knows its database again`, async () => {
      const { flush, leaser } = await fixture();
      const [one, two] = [leaser('one'), leaser('two')];
      await one.renew(identity({ generation: 5 }));
      await flush();
      assert.equal(await kindOf(one.renew(identity({ generation: 5 }))), 'held');
      assert.equal(await kindOf(two.acquire(identity({ databaseId: 'other' }))), 'refused');
    });
  });
}
