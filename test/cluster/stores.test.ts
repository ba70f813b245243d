import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import Database from 'better-sqlite3';
import { connect, newUser } from '../support/client.ts';
import { queryDatabase } from '../support/database.ts';
import { startRedis } from '../support/redis.ts';
import { ROOT } from '../support/root.ts';
import { startNode, TestNode, temporaryFolder, waitReady } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const folder = temporaryFolder({ after });

test('G7 one writer: of two stores on one database one writes, the other says that it stands by, and takes over', async (t) => {
  const redis = await startRedis(t);
  const common = { REDIS_URL: redis.url, DATABASE_PATH: `${folder}/one.db` };
  const first = new TestNode({ ...common, ROLE: 'store' });
  t.after(() => first.kill());
  await first.waitForEvent('leading');
  const second = new TestNode({ ...common, ROLE: 'store' });
  t.after(() => second.kill());
  const [standing] = await second.waitForEvent('standing_by');
  assert.match(String(standing?.['msg']), /the database is written by .+: this node stands by/);
  assert.equal(second.events('leading').length, 0);

  const { url } = await startNode(t, { REDIS_URL: redis.url, ROLE: 'gateway', WORKERS: '1' });
  const alice = await newUser(url, 'alice');
  const socket = await connect(url, 'alice', alice);
  socket.send({ type: 'message', to: 'alice', message: 'before' });
  await socket.type('message');

  const died = Date.now();
  await first.kill();
  socket.send({ type: 'message', to: 'alice', message: 'between' });
  await socket.type('message', 2);
  const tookMs = Date.now() - died;
  t.diagnostic(`taken over, and the waiting message delivered, in ${tookMs} ms`);
  assert.equal(second.events('leading').length, 1);
  assert.ok(tookMs < 30_000);
  assert.deepEqual(
    queryDatabase<{ message: string }>(common.DATABASE_PATH, 'SELECT message FROM messages ORDER BY id').map(
      (row) => row.message,
    ),
    ['before', 'between'],
  );
});

test('G7: a store with another database never writes, and says why; its gateways serve the cluster', async (t) => {
  const redis = await startRedis(t);
  const first = await startNode(t, { REDIS_URL: redis.url, DATABASE_PATH: `${folder}/a.db`, WORKERS: '1' });
  // A database of its own, made while it was alone.
  const alone = await startNode(t, { DATABASE_PATH: `${folder}/b.db` });
  alone.node.signal('SIGTERM');
  await alone.node.exited;
  const second = new TestNode({ REDIS_URL: redis.url, DATABASE_PATH: `${folder}/b.db`, WORKERS: '1' });
  t.after(() => second.kill());
  const [refused] = await second.waitForEvent('refused');
  assert.match(
    String(refused?.['msg']),
    /this node does not write, and serves no queries: the cluster's database is .+, this node's is .+/,
  );

  const url = await second.url();
  await newUser(url, 'mallory');
  const users = (path: string) =>
    queryDatabase<{ user_id: string }>(path, 'SELECT user_id FROM users').map((row) => row.user_id);
  assert.deepEqual(users(`${folder}/a.db`), ['mallory']);
  assert.deepEqual(users(`${folder}/b.db`), []);

  // Not after the first has gone either, nor after Redis has forgotten everything.
  await first.node.kill();
  await redis.command('FLUSHALL');
  await new Promise((resolve) => setTimeout(resolve, 3_500));
  assert.equal(second.events('leading').length, 0);
  await waitFor(
    async () => (await fetch(`${url}/readyz`)).status === 503,
    20_000,
    () => 'readyz still says ready without a writer',
  );
});

test('a reader has loaded by when the writer leads, and answers only then', async (t) => {
  const redis = await startRedis(t);
  // The lease of one that has ended.
  await redis.command('SET', '{parley:0:writer}', 'somebody');
  const store = new TestNode({
    REDIS_URL: redis.url,
    DATABASE_PATH: `${folder}/late.db`,
    ROLE: 'store',
  });
  t.after(() => store.kill());
  await waitFor(
    () => store.workers('reader').length === 1,
    30_000,
    () => `no reader while the writer waits for its lease:\n${store.output}`,
  );
  assert.equal(store.events('started').length, 0);
  const readers = store.workers('reader');
  await redis.command('DEL', '{parley:0:writer}');
  await store.waitForEvent('started');
  assert.deepEqual(store.workers('reader'), readers);
});

test('G7: a node without a database file does not make one in a cluster that has a database', async (t) => {
  const redis = await startRedis(t);
  await startNode(t, { REDIS_URL: redis.url, DATABASE_PATH: `${folder}/c.db`, WORKERS: '1' });
  const second = await startNode(t, {
    REDIS_URL: redis.url,
    DATABASE_PATH: `${folder}/none.db`,
    WORKERS: '1',
  });
  assert.match(
    String(second.node.events('refused')[0]?.['msg']),
    /has a database already, and this node has none/,
  );
  const token = await newUser(second.url, 'olivia');
  await connect(second.url, 'olivia', token);
});

test('G7: a store whose database a newer Parley has used says so, and changes nothing', async (t) => {
  const redis = await startRedis(t);
  const { node } = await startNode(t, {
    REDIS_URL: redis.url,
    DATABASE_PATH: `${folder}/newer.db`,
    WORKERS: '1',
  });
  const db = new Database(`${folder}/newer.db`);
  db.pragma('user_version = 99');
  db.close();
  // While it ran, a newer node took the database over from its writer, which hung. The second death is after its refusal.
  for (const times of [1, 2]) {
    const [writer] = node.workers('writer');
    process.kill(writer as number, 'SIGKILL');
    await waitFor(
      () => node.events('refused').length === times,
      20_000,
      () => `not refused:\n${node.output}`,
    );
  }
  assert.match(String(node.events('refused')[0]?.['msg']), /serves no queries: .* has schema 99/);
  assert.deepEqual(node.events('worker_failed'), []);
  await waitFor(
    () => node.workers('reader').length === 0,
    20_000,
    () => 'it still reads what it does not know',
  );
  node.signal('SIGTERM');
  await node.exited;
  const older = new TestNode({ REDIS_URL: redis.url, DATABASE_PATH: `${folder}/newer.db`, ROLE: 'store' });
  t.after(() => older.kill());
  await older.exited;
  assert.match(older.output, /schema 99, this program knows \d+: run the newer Parley/);
});

test('upgrade: a node beside a store of an older version starts, and reads the database once it has taken it over', async (t) => {
  const redis = await startRedis(t);
  const path = `${folder}/older.db`;
  const db = new Database(path);
  db.pragma('journal_mode = WAL');
  db.exec(readFileSync(`${ROOT}/src/db/migrations/000001-initial.sql`, 'utf8'));
  db.exec(`PRAGMA application_id = 0x5061726c; PRAGMA user_version = 1;
    INSERT INTO store (one, database_id, epoch, token_secret) VALUES (1, 'd', 'e', 's')`);
  // The older store: it has the lease, and commits.
  await redis.command('SET', '{parley:0:writer}', 'older');
  await redis.command('HSET', '{parley:0:writer}:database', 'id', 'd', 'epoch', 'e', 'generation', '0');
  const commits = setInterval(() => db.exec('UPDATE store SET canary = canary + 1'), 100);
  t.after(() => {
    clearInterval(commits);
    db.close();
  });
  const node = new TestNode({ REDIS_URL: redis.url, DATABASE_PATH: path, WORKERS: '1' });
  t.after(() => node.kill());
  const url = await node.url();
  assert.match(String(node.events('standing_by')[0]?.['msg']), /serves no queries before it has migrated it/);
  assert.deepEqual(node.workers('reader'), []);
  clearInterval(commits);
  await redis.command('DEL', '{parley:0:writer}');
  await waitReady(url, () => node.output);
  await newUser(url, 'ann');
});

test('G3, G4, G7: a copy of the database answers nothing and never leads, though it lacks no message', async (t) => {
  const redis = await startRedis(t);
  const { node, url } = await startNode(t, {
    REDIS_URL: redis.url,
    DATABASE_PATH: `${folder}/original.db`,
    WORKERS: '1',
  });
  await newUser(url, 'peggy');
  const db = new Database(`${folder}/original.db`, { readonly: true });
  await db.backup(`${folder}/copy.db`);
  db.close();
  const copy = new TestNode({
    REDIS_URL: redis.url,
    DATABASE_PATH: `${folder}/copy.db`,
    ROLE: 'store',
  });
  t.after(() => copy.kill());
  // What the original commits when it is idle is enough to tell.
  const [refused] = await copy.waitForEvent('refused');
  assert.match(String(refused?.['msg']), /serves no queries: this node's copy of the database is old/);
  assert.deepEqual(copy.events('standing_by'), []);
  await waitFor(
    () => copy.workers('reader').length === 0,
    20_000,
    () => 'the copy still has a reader',
  );

  await node.kill();
  await new Promise((resolve) => setTimeout(resolve, 3_500));
  assert.equal(copy.events('leading').length, 0);
  assert.deepEqual(copy.workers('reader'), []);
});
