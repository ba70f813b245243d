import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import Database from 'better-sqlite3';
import { CHANNELS } from '../../src/bus/channels.ts';
import { Fenced } from '../../src/db/store-row.ts';
import { WriterMetrics } from '../../src/ops/metrics.ts';
import { COMMANDS_MAX, type Group } from '../../src/writer/group-commit.ts';
import { Ledger } from '../../src/writer/ledger.ts';
import { Writer } from '../../src/writer/writer.ts';
import { batch, openMigrated, register, send } from '../support/ledger.ts';
import { ScriptedBus, settle } from '../support/scripted-bus.ts';
import { temporaryFolder } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const folder = temporaryFolder({ after });

/** A writer on a log of three entries that are too big to go into one transaction. */
async function fixture(
  name: string,
  onCommit: (ledger: Ledger, group: Group) => ReturnType<Ledger['commit']>,
) {
  const bus = new ScriptedBus();
  for (let i = 1; i <= 3; i++) {
    bus.add(JSON.stringify(batch(Array(COMMANDS_MAX).fill(register(`user ${i}`)), i)));
  }
  const ledger = new Ledger(await openMigrated(`${folder}/${name}.db`), (error) =>
    assert.fail(String(error)),
  );
  const tried: string[] = [];
  const watched: Ledger = Object.create(ledger, {
    identity: { value: ledger.identity },
    head: { get: () => ledger.head },
    position: { get: () => ledger.position },
    commitCanary: { value: () => ledger.commitCanary() },
    close: { value: () => {} },
    commit: {
      value: (group: Group) => {
        tried.push(group.position);
        return onCommit(ledger, group);
      },
    },
  });
  const fenced: Fenced[] = [];
  const metrics = new WriterMetrics({ walBytes: () => 0 });
  const failures = async (): Promise<number> => (await metrics.failures.get()).values[0]?.value ?? 0;
  const logged: unknown[] = [];
  const say = ({ event }: Record<string, unknown>): void => void logged.push(event);
  const log = { debug: say, info: say, warn: say, error: say, fatal: say };
  const writer = new Writer(bus.port(), watched, log, metrics, (error) => fenced.push(error));
  after(() => ledger.close());
  return { bus, ledger, writer, tried, fenced, failures, metrics, logged };
}

test('G1 order: a group that could not be committed before the writer was stopped is not passed over', async () => {
  let full = true;
  const { ledger, writer, tried } = await fixture('full', (real, group) => {
    if (full) throw new Database.SqliteError('database or disk is full', 'SQLITE_FULL');
    return real.commit(group);
  });
  await writer.start();
  await waitFor(
    () => tried.length > 0,
    2_000,
    () => 'nothing was tried',
  );
  full = false;
  await writer.stop();
  assert.ok(
    ledger.position === undefined || !tried.includes('2') || tried.indexOf('1') < tried.lastIndexOf('1'),
    `tried ${tried}: committed up to ${ledger.position}, without the group at 1`,
  );
});

test('G7 fence: a writer that was replaced tries nothing more, and says so once', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { writer, tried, fenced } = await fixture('fenced', () => {
    throw new Fenced(1, 2);
  });
  await writer.start();
  for (let i = 0; i < 5; i++) {
    await settle(10);
    t.mock.timers.tick(1_000); // As long as any pause before something is tried again.
  }
  assert.deepEqual(tried, ['1']);
  assert.equal(fenced.length, 1);
  await writer.stop();
});

test('G10 beats: while commits fail they say so, with the reason; each failure is counted; when commits work again they say that', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  let failure: Error | undefined = new Database.SqliteError('database or disk is full', 'SQLITE_FULL');
  const { bus, writer, ledger, failures, logged } = await fixture('beats', (real, group) => {
    if (failure) throw failure;
    return real.commit(group);
  });
  const gateway = bus.port();
  const said: unknown[] = [];
  await gateway.subscribe(CHANNELS.beat, (payload) => said.push(JSON.parse(payload).writer));
  after(() => writer.stop());
  await writer.start();
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 100) {
      t.mock.timers.tick(100);
      await settle(4);
    }
    gateway.deliver();
  };
  await pass(1_000);
  assert.deepEqual(said.splice(0).at(-1), {
    ok: false,
    reason: 'the disk is full (free some space; nothing that was acknowledged is lost)',
  });
  assert.ok((await failures()) >= 2);
  assert.match(String(writer.commitTrouble), /^the disk is full/);
  assert.deepEqual(logged.splice(0), ['commit_failed'], 'not at each try: the log may be on that disk');
  failure = new Database.SqliteError('disk I/O error', 'SQLITE_IOERR_WRITE');
  await pass(1_000);
  assert.match(String(writer.commitTrouble), /I\/O error/);
  assert.deepEqual(logged.splice(0), ['commit_failed'], 'for another reason now');
  failure = undefined;
  await pass(1_000);
  assert.deepEqual(logged, ['commits_again']);
  assert.deepEqual(said.at(-1), { ok: true });
  assert.equal(writer.commitTrouble, undefined);
  assert.equal(ledger.position, '3');
});

test('G10 beats: commits that fail are not said to work because another could be made: part of a file may be corrupt', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  let passed = 0;
  t.mock.method(performance, 'now', () => passed);
  let corrupt = true;
  const { bus, writer, ledger } = await fixture('corrupt', (real, group) => {
    if (corrupt) throw new Database.SqliteError('database disk image is malformed', 'SQLITE_CORRUPT');
    return real.commit(group);
  });
  const gateway = bus.port();
  const said: unknown[] = [];
  await gateway.subscribe(CHANNELS.beat, (payload) => said.push(JSON.parse(payload).writer.ok));
  after(() => writer.stop());
  await writer.start();
  const pass = async (ms: number): Promise<void> => {
    for (const end = passed + ms; passed < end; ) {
      passed += 100;
      t.mock.timers.tick(100);
      await settle(4);
    }
    gateway.deliver();
  };
  await pass(1_000);
  said.length = 0;
  await pass(10_000);
  assert.deepEqual(new Set(said), new Set([false]));
  corrupt = false;
  await pass(1_000);
  assert.deepEqual(said.at(-1), true);
  assert.equal(ledger.position, '3');
  t.mock.method(ledger, 'commitCanary', () => {
    throw new Database.SqliteError('database disk image is malformed', 'SQLITE_CORRUPT');
  });
  await pass(3_000);
  assert.deepEqual(said.at(-1), false, 'it looks for itself again when it is idle');
});

test('G10, G7 idle: a writer without commands finds out that it can not commit, and one that finds itself replaced says nothing more', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const { bus, writer, ledger, tried, fenced } = await fixture('idle', (real, group) => real.commit(group));
  bus.log = [];
  const gateway = bus.port();
  const said: unknown[] = [];
  await gateway.subscribe(CHANNELS.beat, (payload) => said.push(JSON.parse(payload).writer));
  after(() => writer.stop());
  let failure: Error = new Database.SqliteError('disk I/O error', 'SQLITE_IOERR_WRITE');
  t.mock.method(ledger, 'commitCanary', () => {
    throw failure;
  });
  await writer.start();
  await settle();
  gateway.deliver();
  assert.deepEqual(said.splice(0), [
    { ok: false, reason: 'the disk answers with an I/O error (SQLITE_IOERR_WRITE)' },
  ]);
  failure = new Fenced(1, 2);
  t.mock.timers.tick(500);
  await settle();
  gateway.deliver();
  assert.equal(fenced.length, 1);
  assert.deepEqual(said, []);
  assert.deepEqual(tried, []);
});

test('G5: a log that can not be read, trimmed or told from is read again, and that is said once; what is in it is committed', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const { bus, ledger, writer, logged } = await fixture('unreadable', (real, group) => real.commit(group));
  const [port] = bus.ports;
  assert.ok(port);
  const read = port.read.bind(port);
  let reads = 0;
  const away = (): Promise<never> => Promise.reject(new Error('Redis is away'));
  port.read = () => {
    reads++;
    return away();
  };
  port.trim = port.publish = away;
  after(() => writer.stop());
  await writer.start();
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 100) {
      await settle(10);
      t.mock.timers.tick(100);
    }
  };
  await pass(2_000);
  assert.ok(reads > 5 && reads <= 11, `${reads} reads in 2 s`);
  assert.deepEqual(logged, ['log_not_readable']);
  port.read = read;
  await pass(500);
  assert.equal(ledger.position, '3');
  port.read = () => away();
  await pass(500);
  assert.deepEqual(logged, ['log_not_readable', 'log_not_readable'], 'it had been read meanwhile');
});

test('metrics of the writer: commits, commands and messages in them, and how old they were in seconds', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { bus, ledger, writer, metrics } = await fixture('metrics', (real, group) => real.commit(group));
  after(() => writer.stop());
  bus.log = [];
  const commands = [register('ann'), register('bob'), send('ann', 'bob', 'hi', 'c1')];
  bus.add(JSON.stringify({ ...batch(commands, 2), at: Date.now() - 5_000 }));
  bus.add(JSON.stringify({ ...batch([send('bob', 'ann', 'hi', 'c2')], 3), at: Date.now() + 5_000 }));
  await writer.start();
  await waitFor(
    () => ledger.position === '5',
    2_000,
    () => `committed up to ${ledger.position}`,
  );
  const sum = async (metric: 'commits' | 'batch' | 'lag', what: string): Promise<number | undefined> =>
    (await metrics[metric].get()).values.find(({ metricName }) => metricName?.endsWith(what))?.value;
  assert.deepEqual([await sum('commits', '_count'), await sum('batch', '_sum')], [1, 4]);
  assert.equal((await metrics.committed.get()).values[0]?.value, 2);
  const lag = (await sum('lag', '_sum')) ?? 0;
  assert.ok(lag >= 5 && lag < 60, `${lag} s: a clock that is ahead counts as none`);
});

test('G6: what is committed leaves the log', async () => {
  const { bus, ledger, writer } = await fixture('trim', (real, group) => real.commit(group));
  await writer.start();
  after(() => writer.stop());
  await waitFor(
    () => bus.log.length === 0,
    2_000,
    () => `${bus.log.length} entries are in the log, committed up to ${ledger.position}`,
  );
});

test('G1, M5 restart: a writer reads on from where the database is: what was answered before, a refusal perhaps, is not done again', async () => {
  const before = await fixture('restart', (real, group) => real.commit(group));
  await before.writer.start();
  await waitFor(
    () => before.ledger.position === '3',
    2_000,
    () => `committed up to ${before.ledger.position}`,
  );
  await before.writer.stop();
  // The log has the same entries still, as where a writer died before they left it, and one more.
  const { bus, writer, tried } = await fixture('restart', (real, group) => real.commit(group));
  bus.add(JSON.stringify(batch([], 4)));
  await writer.start();
  after(() => writer.stop());
  await waitFor(
    () => tried.length > 0,
    5_000,
    () => 'nothing was tried',
  );
  assert.deepEqual(tried, ['4']);
});

test('G8 stop: what has been read and can be committed is, and told, before the stop has ended', async () => {
  const { bus, ledger, writer, tried } = await fixture('stop', (real, group) => real.commit(group));
  const [port] = bus.ports;
  assert.ok(port);
  const { promise: taken, resolve } = Promise.withResolvers<void>();
  const told: number[] = [];
  port.publish = async (publications) => {
    await taken;
    for (const { channel, payload } of publications)
      if (channel === CHANNELS.gateway('g')) told.push(JSON.parse(payload).seq);
  };
  await writer.start();
  await waitFor(
    () => tried.length === 2,
    2_000,
    () => `${tried} was tried`,
  );
  const stopped = writer.stop();
  resolve();
  await stopped;
  assert.deepEqual([ledger.position, told], ['3', [1, 2, 3]]);
});

test('G8 stop: a read that Redis does not answer, and a publication it does not take, hold the stop up for a second at most', async (t) => {
  const { bus, ledger, writer } = await fixture('away', (real, group) => real.commit(group));
  const [port] = bus.ports;
  assert.ok(port);
  await writer.start();
  await waitFor(
    () => ledger.position === '3',
    2_000,
    () => 'nothing is committed',
  );
  port.read = port.publish = () => new Promise<never>(() => {});
  bus.add(JSON.stringify(batch([], 4)));
  await settle();
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const stopped = writer.stop();
  t.mock.timers.tick(1_000);
  await stopped;
});

test('G8 stop: a writer whose publications are taken after its stop has ended commits nothing more', async () => {
  const { bus, writer, tried, failures } = await fixture('late', (real, group) => real.commit(group));
  const [port] = bus.ports;
  assert.ok(port);
  const { promise: taken, resolve } = Promise.withResolvers<void>();
  port.publish = () => taken;
  await writer.start();
  await waitFor(
    () => tried.length === 2,
    2_000,
    () => `${tried} was tried`,
  );
  await writer.stop();
  resolve();
  await settle();
  assert.deepEqual([tried, await failures()], [['1', '2'], 0]);
});

test('G8 stop: a writer that is stopped just before it would read on does not wait for a Redis that is away', async (t) => {
  const nothing = { messages: [], signals: [], ended: [], results: [] };
  const { bus, writer, tried } = await fixture('between', () => nothing);
  const [port] = bus.ports;
  assert.ok(port);
  const read = port.read.bind(port);
  // It pauses after what it has read the first time.
  port.read = (...asked) => {
    port.read = () => new Promise<never>(() => {});
    return read(...asked);
  };
  port.trim = async () => {};
  t.mock.method(performance, 'now', () => 1_000); // It pauses, however long the machine takes.
  t.mock.timers.enable({ apis: ['setTimeout'] }); // Its pause lasts until it is stopped, and a stop that waits for ever.
  await writer.start();
  while (tried.length < 3) await settle(1);
  await writer.stop();
});

test('a gateway that has just started hears the writer at once: its first batch is answered with a beat, and no other is', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] }); // No beat by the clock.
  const { bus, writer } = await fixture('first', (real, group) => real.commit(group));
  bus.log = [];
  const gateway = bus.port();
  await gateway.subscribe(CHANNELS.beat, () => {});
  await gateway.subscribe(CHANNELS.gateway('g'), () => {});
  const heard = () => gateway.inbox.splice(0).map(({ channel }) => channel);
  after(() => writer.stop());
  await writer.start();
  await settle();
  assert.deepEqual(heard(), [CHANNELS.beat], 'at the start');
  for (const seq of [1, 2]) {
    bus.add(JSON.stringify(batch([], seq)));
    const inbox: string[] = [];
    await waitFor(
      () => inbox.push(...heard()) > 0,
      2_000,
      () => `batch ${seq} was not answered`,
    );
    assert.deepEqual(inbox, seq === 1 ? [CHANNELS.gateway('g'), CHANNELS.beat] : [CHANNELS.gateway('g')]);
  }
});

test('G1 trim: after nothing was read nothing is forgotten: the log may have been lost, and new entries stand below the old place', async () => {
  const { bus, writer } = await fixture('trim', (real, group) => real.commit(group));
  after(() => writer.stop());
  bus.log = [];
  bus.add(JSON.stringify(batch([], 2)));
  const trims: string[] = [];
  for (const port of bus.ports)
    port.trim = async (position) => {
      trims.push(position);
    };
  await writer.start();
  await waitFor(
    () => trims.length > 0,
    5_000,
    () => 'nothing was trimmed',
  );
  // Trims are 100 ms apart, and reads of an empty log a moment.
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(trims.length, 1);
});

test('a commit waits for no other, the log is trimmed every tenth of a second, and an idle writer tries every two seconds whether it could commit', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  let passed = 0;
  t.mock.method(performance, 'now', () => passed);
  const commits: number[] = [];
  const { bus, ledger, writer } = await fixture('pace', (real, group) => {
    commits.push(passed);
    return real.commit(group);
  });
  const [port] = bus.ports;
  assert.ok(port);
  bus.log = [];
  const trims = t.mock.method(port, 'trim');
  const canaries: number[] = [];
  t.mock.method(ledger, 'commitCanary', () => canaries.push(passed));
  after(() => writer.stop());
  await writer.start();
  const pass = async (ms: number): Promise<void> => {
    passed += ms;
    t.mock.timers.tick(ms);
    await settle();
  };
  await pass(10);
  for (let seq = 2; seq < 252; seq++) {
    bus.add(JSON.stringify(batch([], seq)));
    await pass(1);
  }
  assert.deepEqual(new Set(commits.slice(1).map((at, i) => at - (commits[i] ?? 0))), new Set([1]));
  assert.equal(trims.mock.callCount(), 3);
  canaries.length = 0;
  for (let i = 0; i < 100; i++) await pass(100);
  assert.ok(canaries.length >= 4 && canaries.length <= 5, `at ${canaries} ms`);
});

test('G8 stop: a read that waits for entries does not hold it up, and those that have ended leave nothing behind', async (t) => {
  const { bus, writer } = await fixture('waits', (real, group) => real.commit(group));
  const [port] = bus.ports;
  assert.ok(port);
  const added = t.mock.method(EventTarget.prototype, 'addEventListener').mock;
  const removed = t.mock.method(EventTarget.prototype, 'removeEventListener').mock;
  t.after(() => writer.stop()); // Else a test that fails would never end.
  await writer.start();
  await waitFor(
    () => added.callCount() >= 20,
    5_000,
    () => `${added.callCount()} waits`,
  );
  assert.ok(added.callCount() - removed.callCount() <= 2, `${removed.callCount()} have ended`);
  let waiting = false;
  port.read = () => {
    waiting = true;
    return new Promise<never>(() => {});
  };
  await waitFor(
    () => waiting,
    5_000,
    () => 'it does not read',
  );
  t.mock.timers.enable({ apis: ['setTimeout'] }); // A stop that waits does so for ever.
  await writer.stop();
});
