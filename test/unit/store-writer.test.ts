import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, type TestContext, test } from 'node:test';
import Database from 'better-sqlite3';
import { StoreWriter } from '../../src/app/workers/store-writer.ts';
import type { WriterStatus } from '../../src/cluster/messages.ts';
import type { DatabaseIdentity, LeaseAnswer } from '../../src/core/lease.ts';
import { FileLock } from '../../src/db/file-lock.ts';
import { createLogger, type Logger } from '../../src/ops/logger.ts';
import { ScriptedBus, settle } from '../support/scripted-bus.ts';
import { temporaryFolder } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const folder = temporaryFolder({ after });

const HELD: LeaseAnswer = { kind: 'held' };

type Surroundings = {
  readonly acquire: () => Promise<LeaseAnswer>;
  readonly renew: (identity: DatabaseIdentity) => Promise<LeaseAnswer>;
  readonly release: () => Promise<void>;
  readonly lost: (why: string) => void;
  readonly lock: FileLock;
  readonly log: Logger;
  readonly takingOver: () => void;
  readonly leading: () => void;
  readonly hadDatabase: boolean;
};

/** A store of what is at a path, which it may write unless `acquire` says otherwise, with what it says. */
function storeAt(
  t: TestContext,
  path: string,
  {
    acquire = async () => HELD,
    renew = async () => HELD,
    release = async () => {},
    lost = assert.fail,
    lock,
    log = createLogger('silent', {}),
    takingOver = () => {},
    leading = () => {},
    hadDatabase = false,
  }: Partial<Surroundings> = {},
): { store: StoreWriter; said: WriterStatus[] } {
  const leaser = { acquire, renew, release };
  const said: WriterStatus[] = [];
  const events = { status: (status: WriterStatus) => said.push(status), takingOver, leading, lost };
  const bus = new ScriptedBus().port();
  const store = new StoreWriter(path, bus, leaser, lock, log, events, hadDatabase);
  t.after(() => store.stop());
  return { store, said };
}

test('G5: a store that Redis refuses to answer asks again, says so once, and leads when it may', async (t) => {
  const refusals = [new Error('OOM command not allowed'), new Error('OOM command not allowed')];
  const acquire = async (): Promise<LeaseAnswer> => {
    const refusal = refusals.shift();
    if (refusal) throw refusal;
    return HELD;
  };
  const log = createLogger('silent', {});
  const warn = t.mock.method(log, 'warn');
  const begun: string[] = [];
  const { store, said } = storeAt(t, `${folder}/store.db`, {
    acquire,
    log,
    takingOver: () => begun.push(`taking over, ${refusals.length} refusals left`),
    leading: () => begun.push('leading'),
  });
  await store.start();
  assert.deepEqual(begun, ['taking over, 0 refusals left', 'leading']);
  await store.stop();
  assert.deepEqual(said, [{ kind: 'leader', generation: 1, lapsed: false }]);
  assert.deepEqual(
    warn.mock.calls.map(({ arguments: [fields] }) => fields),
    [{ event: 'lease_failed', why: 'OOM command not allowed' }],
  );
});

test('G3, G4: a store stands by, and is read, only once its file is seen to grow: a copy never does', async (t) => {
  const path = `${folder}/grows.db`;
  const { store: writer } = storeAt(t, path);
  await writer.start();
  await writer.stop();
  const asked: string[] = [];
  const acquire = async (): Promise<LeaseAnswer> => {
    asked.push('');
    return { kind: 'taken', holder: 'another node' };
  };
  const lock = new FileLock(path, 'shared');
  const { store, said } = storeAt(t, path, { acquire, lock, leading: assert.fail });
  const running = store.start();
  const db = new Database(path);
  t.after(async () => {
    await running;
    db.close();
  });
  await waitFor(
    () => asked.length > 2,
    5_000,
    () => 'never asked',
  );
  assert.deepEqual(said, []);
  db.exec('UPDATE store SET canary = canary + 1');
  await waitFor(
    () => said.length > 0,
    5_000,
    () => 'never stands by',
  );
  const before = asked.length;
  await waitFor(
    () => asked.length > before + 2,
    5_000,
    () => 'never asked again',
  );
  // Once, and not at each question.
  assert.deepEqual(said, [{ kind: 'standby', holder: 'another node', readable: true }]);
});

test('G7: a store that stands by reads no file of an older version, and does not end when a newer one takes it over', async (t) => {
  const path = `${folder}/versions.db`;
  const { store: writer } = storeAt(t, path);
  await writer.start();
  await writer.stop();
  const db = new Database(path);
  const current = db.pragma('user_version', { simple: true });
  db.pragma('user_version = 1');
  // Somebody writes it.
  const acquire = async (): Promise<LeaseAnswer> => {
    db.exec('UPDATE store SET canary = canary + 1');
    return { kind: 'taken', holder: 'another node' };
  };
  const lock = new FileLock(path, 'shared');
  const { store, said } = storeAt(t, path, { acquire, lock, leading: assert.fail });
  const running = store.start();
  t.after(async () => {
    await running;
    db.close();
  });
  const says = (count: number): Promise<void> =>
    waitFor(
      () => said.length >= count,
      5_000,
      () => `said only ${JSON.stringify(said)}`,
    );
  await says(1);
  db.pragma(`user_version = ${current}`);
  await says(2);
  db.pragma('user_version = 99');
  await says(3);
  const standby = { kind: 'standby', holder: 'another node' };
  const [older, same, newer] = said;
  assert.deepEqual(
    [older, same],
    [
      { ...standby, readable: false },
      { ...standby, readable: true },
    ],
  );
  assert.ok(newer?.kind === 'refused');
  assert.match(newer.reason, /schema 99, this program knows \d+: run the newer Parley/);
});

test('G7: a store does not begin on a database that a node without Redis uses', async (t) => {
  const path = `${folder}/used.db`;
  const alone = new FileLock(path, 'exclusive');
  alone.acquire();
  const { store } = storeAt(t, path, { lock: new FileLock(path, 'shared') });
  await assert.rejects(store.start(), {
    name: 'DatabaseError',
    message: `The database ${path} is in use by a node without Redis, or being restored.`,
  });
  alone.release();
});

test('G7, G8: a store that stops writes no more, says how far its database has got, and only then gives the lease up', async (t) => {
  const path = `${folder}/stops.db`;
  const heard: unknown[] = [];
  const { store } = storeAt(t, path, {
    renew: async ({ transactions }) => {
      heard.push(transactions);
      return HELD;
    },
    release: async () => void heard.push('released'),
  });
  await store.start();
  await store.stop();
  assert.equal(existsSync(`${path}-wal`), false, 'the writer has closed it');
  const db = new Database(path, { readonly: true });
  const written = db.prepare('SELECT canary FROM store').pluck().get();
  db.close();
  assert.deepEqual(heard.slice(-2), [written, 'released']);
});

test('G7: a store renews its lease, says when nobody lets it and when somebody does again, and is lost once another has it', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  let answer: () => LeaseAnswer = () => HELD;
  const lost: string[] = [];
  const { store, said } = storeAt(t, `${folder}/renews.db`, {
    renew: async () => answer(),
    lost: (why) => lost.push(why),
  });
  await store.start();
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 500) {
      now += 500;
      t.mock.timers.tick(500);
      await settle();
    }
  };
  const leads = (lapsed: boolean): WriterStatus => ({ kind: 'leader', generation: 1, lapsed });
  await pass(10_000);
  assert.deepEqual(said, [leads(false)]);
  answer = () => {
    throw new Error('Redis is away');
  };
  await pass(3_000);
  assert.deepEqual(said, [leads(false)]);
  await pass(1_000);
  assert.deepEqual(said, [leads(false), leads(true)]);
  answer = () => ({ kind: 'undecided' });
  await pass(1_000);
  answer = () => HELD;
  await pass(1_000);
  assert.deepEqual(said, [leads(false), leads(true), leads(false)]);
  assert.deepEqual(lost, []);
  answer = () => ({ kind: 'taken', holder: 'another node' });
  await pass(500);
  assert.deepEqual(lost, ['the database is written by another node: this node stands by']);
  answer = () => HELD;
});

test('migration: the file of a chat app that was killed in the middle of a commit is taken over as it was before that', async (t) => {
  const [live, file] = [`${folder}/live.db`, `${folder}/killed.db`];
  const db = new Database(live);
  db.exec(`
    CREATE TABLE users (user_id TEXT PRIMARY KEY, password TEXT);
    CREATE TABLE messages (sender TEXT, receiver TEXT, message TEXT, timestamp DATETIME DEFAULT CURRENT_TIMESTAMP);`);
  const insert = db.prepare("INSERT INTO messages (sender, receiver, message) VALUES ('ann', 'ann', ?)");
  db.transaction(() => {
    for (let i = 0; i < 2_000; i++) insert.run('x'.repeat(500));
  })();
  // Pages of a commit that is under way are in the file already.
  db.pragma('cache_size = 5');
  db.exec("BEGIN; UPDATE messages SET message = 'y' || message");
  for (const end of ['', '-journal']) copyFileSync(live + end, file + end);
  db.close();
  const { store, said } = storeAt(t, file);
  await store.start();
  await store.stop();
  assert.deepEqual(said, [{ kind: 'leader', generation: 1, lapsed: false }]);
  const taken = new Database(file, { readonly: true });
  assert.equal(
    taken.prepare('SELECT count(*) FROM messages WHERE message = ?').pluck().get('x'.repeat(500)),
    2_000,
  );
  taken.close();
});

test('restore: a server does not begin anew where a restore was broken off between the old database and the new', async (t) => {
  const file = `${folder}/broken-off.db`;
  writeFileSync(`${file}.restoring`, '');
  await assert.rejects(storeAt(t, file).store.start(), {
    name: 'DatabaseError',
    message: /a restore of it was broken off: restore again/,
  });
  assert.equal(existsSync(file), false);
});

test('G1: where a database is gone, or emptied, and its log is not, none is made: that would wipe the newest messages', async (t) => {
  const file = `${folder}/log-left.db`;
  const { store } = storeAt(t, file);
  await store.start();
  for (const end of ['', '-wal']) copyFileSync(file + end, `${file}.as-killed${end}`);
  await store.stop();
  for (const take of [() => rmSync(file), () => writeFileSync(file, '')]) {
    copyFileSync(`${file}.as-killed-wal`, `${file}-wal`);
    take();
    await assert.rejects(storeAt(t, file).store.start(), {
      name: 'DatabaseError',
      message:
        /log-left\.db is not there, or empty, but its log .*log-left\.db-wal is there .*: put the file back/,
    });
    assert.deepEqual(readFileSync(`${file}-wal`), readFileSync(`${file}.as-killed-wal`));
  }
  copyFileSync(`${file}.as-killed`, file);
  const { store: again, said } = storeAt(t, file);
  await again.start();
  assert.deepEqual(said, [{ kind: 'leader', generation: 2, lapsed: false }]);
});

test('a node that has had a database makes no new one in its place: who moved it may put it back', async (t) => {
  const file = `${folder}/taken-away.db`;
  await assert.rejects(storeAt(t, file, { hadDatabase: true }).store.start(), {
    name: 'DatabaseError',
    message: /taken-away\.db was moved or deleted while the server ran: put it back/,
  });
  assert.equal(existsSync(file), false);
});

test('what lies beside a database and can not be used is named, and not the database itself, which can', async (t) => {
  const file = `${folder}/of-another.db`;
  // What is of another user, root may use all the same; a folder, nobody.
  mkdirSync(`${file}.lock`);
  const lock = new FileLock(file, 'shared');
  await assert.rejects(storeAt(t, file, { lock }).store.start(), {
    name: 'DatabaseError',
    message: /of-another\.db can't be opened: .*of-another\.db\.lock, which belongs to it, may not be read/,
  });
});

test('a database that can not even be looked for is named, and what is wrong with its path', async (t) => {
  const file = `${folder}/${'x'.repeat(300)}.db`;
  await assert.rejects(storeAt(t, file).store.start(), {
    name: 'DatabaseError',
    message: /^The database .*x\.db can't be opened: ENAMETOOLONG/,
  });
});

test('a database that can not be migrated is named, with what to do', async (t) => {
  const file = `${folder}/half-ours.db`;
  const db = new Database(file);
  db.exec(`
    PRAGMA application_id = 0x5061726c; PRAGMA user_version = 1;
    CREATE TABLE store (database_id, epoch, generation, canary, scrub_pending, head)`);
  db.close();
  const { store } = storeAt(t, file);
  await assert.rejects(store.start(), {
    name: 'DatabaseError',
    message: `The database ${file} can't be opened: duplicate column name: head.`,
  });
});

test('G7, G8: a store that is stopped while it asks for the lease does not lead when it gets it', async (t) => {
  const answer = Promise.withResolvers<LeaseAnswer>();
  const calls: string[] = [];
  const { store, said } = storeAt(t, `${folder}/asks.db`, {
    acquire: () => answer.promise,
    renew: async () => {
      calls.push('renew');
      return HELD;
    },
    release: async () => void calls.push('release'),
  });
  const started = store.start();
  await store.stop();
  answer.resolve(HELD);
  await started;
  assert.deepEqual([calls, said], [['release'], []], 'whoever has the lease next keeps it');
  assert.equal(existsSync(`${folder}/asks.db`), false);
});

test('G7, G8: a store that is stopped while it migrates does not claim the database, since another may write it by now', async (t) => {
  const path = `${folder}/stopped.db`;
  const old = new Database(path);
  old.exec("CREATE TABLE users (user_id TEXT, password TEXT); INSERT INTO users VALUES ('ann', 'secret')");
  old.close();
  const { store, said } = storeAt(t, path);
  const started = store.start();
  // It has the lease, and hashes the password.
  await settle(1);
  await store.stop();
  await started;
  const db = new Database(path);
  t.after(() => db.close());
  assert.equal(db.prepare('SELECT generation FROM store').pluck().get(), 0);
  assert.deepEqual(said, []);
});
