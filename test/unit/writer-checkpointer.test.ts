import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { after, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { sleep } from '../../src/base/clock.ts';
import { openForReading } from '../../src/db/open.ts';
import { Checkpointer } from '../../src/writer/checkpointer.ts';
import type { Ledger } from '../../src/writer/ledger.ts';
import { commit, openLedger, register, send } from '../support/ledger.ts';
import { temporaryFolder } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const folder = temporaryFolder({ after });
const PAGE_BYTES = 4_096 + 24;
const PAGES = 2_000;

let sent = 0;

/** Fifty transactions of fifty messages, some ten pages each. */
async function writeMessages(ledger: Ledger): Promise<void> {
  for (let i = 0; i < 50; i++) {
    const commands = Array.from({ length: 50 }, () => send('a', 'b', 'x'.repeat(500), `id-${++sent}`));
    commit(ledger, commands);
    await turn();
  }
}

async function ledgerWithUsers(path: string): Promise<Ledger> {
  const ledger = await openLedger(path);
  commit(ledger, [register('a'), register('b')]);
  return ledger;
}

/** A file that is no database, beside a log that is long enough for the thread to be started: it can't open it. */
function noDatabase(name: string): string {
  const path = `${folder}/${name}.db`;
  writeFileSync(path, 'no database\n'.repeat(100));
  writeFileSync(`${path}-wal`, Buffer.alloc(PAGES * PAGE_BYTES));
  return path;
}

/** The ledger, and how often it was asked to finish a checkpoint. */
function counting(ledger: Ledger) {
  return {
    finished: 0,
    autoCheckpoint: (pages: number) => ledger.autoCheckpoint(pages),
    finishCheckpoint() {
      this.finished++;
      ledger.finishCheckpoint();
    },
  };
}

test('G6 the write-ahead log stays short while commits go on without a pause, and none of them does a checkpoint', async (t) => {
  const path = `${folder}/short.db`;
  const ledger = await ledgerWithUsers(path);
  const failures: unknown[] = [];
  const database = counting(ledger);
  const checkpointer = new Checkpointer(path, database, (error) => failures.push(error), PAGES);
  t.after(() => checkpointer.stop()); // Else a test that fails would never end.
  const started = Date.now();
  while (database.finished < 5) {
    assert.ok(Date.now() - started < 60_000, `${database.finished} checkpoints in 60 s`);
    await writeMessages(ledger);
  }
  await checkpointer.stop();
  const inLog = statSync(`${path}-wal`).size / PAGE_BYTES;
  const inDatabase = statSync(path).size / 4_096;
  assert.deepEqual(failures, []);
  // Every checkpoint was worth PAGES; without them the log would hold them all.
  assert.ok(inLog < 4 * PAGES, `the log has room for ${inLog} pages after ${database.finished} checkpoints`);
  assert.ok(inDatabase > 500, `${inDatabase} pages are in the database`);
  ledger.close();
  const reopened = await openLedger(path);
  assert.equal(reopened.head, sent);
  reopened.close();
});

/** How nice each thread of this process is, on Linux. */
const niceness = (): number[] => readdirSync('/proc/self/task').map((thread) => getPriority(Number(thread)));

test('the thread gives way to commits, and nothing else in the process does', async (t) => {
  const path = `${folder}/nice.db`;
  const ledger = await ledgerWithUsers(path);
  const database = counting(ledger);
  const failures: unknown[] = [];
  const checkpointer = new Checkpointer(path, database, (error) => failures.push(error), PAGES);
  t.after(() => checkpointer.stop()); // Else a test that fails would never end.
  const before = getPriority();
  while (database.finished === 0 && failures.length === 0) await writeMessages(ledger);
  assert.deepEqual(failures, []);
  assert.equal(getPriority(), before);
  if (process.platform === 'linux')
    assert.equal(niceness().filter((nice) => nice > before).length, 1, `${niceness()}`);
  await checkpointer.stop();
  ledger.close();
});

test('a thread that can not do its work is told of once, and commits do the checkpoints from then on', async () => {
  const path = `${folder}/falls-back.db`;
  const ledger = await ledgerWithUsers(path);
  const failures: unknown[] = [];
  const asked: number[] = [];
  const database = {
    autoCheckpoint: (pages: number) => {
      asked.push(pages);
      ledger.autoCheckpoint(pages);
    },
    finishCheckpoint: () => assert.fail('nothing was copied'),
  };
  const other = noDatabase('other');
  const checkpointer = new Checkpointer(other, database, (error) => failures.push(error), PAGES);
  await waitFor(
    () => failures.length > 0,
    5_000,
    () => 'the failure was not told of',
  );
  assert.equal(failures.length, 1);
  assert.match(String(failures[0]), /not an SQLite database/);
  assert.deepEqual(asked, [0, PAGES]);
  await checkpointer.stop();
  ledger.close();
});

test('G8 stop: a thread that fails while it is being stopped does not keep what stops after it from stopping', async () => {
  const database = { autoCheckpoint: () => {}, finishCheckpoint: () => {} };
  const failures: unknown[] = [];
  const checkpointer = new Checkpointer(
    noDatabase('failing'),
    database,
    (error) => failures.push(error),
    PAGES,
  );
  const [thread] = await once(process, 'worker'); // It has been started, and has not got to the file.
  await checkpointer.stop();
  assert.deepEqual(failures, []);
  assert.equal(thread.threadId, -1, 'it has ended: the file can be closed');
});

test('G8 stop: a writer whose log is short stops at once, and starts no thread afterwards, which would keep the process alive', async () => {
  const failures: unknown[] = [];
  const path = `${folder}/stopped.db`;
  const database = { autoCheckpoint: () => {}, finishCheckpoint: () => {} };
  const checkpointer = new Checkpointer(path, database, (error) => failures.push(error), PAGES);
  await checkpointer.stop();
  let threads = 0;
  const count = (): void => void threads++;
  process.on('worker', count);
  writeFileSync(path, '');
  writeFileSync(`${path}-wal`, Buffer.alloc(PAGES * PAGE_BYTES));
  await sleep(200);
  process.off('worker', count);
  assert.deepEqual([threads, failures], [0, []]);
});

test('G6 pages that somebody still reads are not copied; when they are let go of, the log is, though commits go on without a pause', async (t) => {
  const path = `${folder}/held.db`;
  const ledger = await ledgerWithUsers(path);
  const database = counting(ledger);
  const reader = openForReading(path);
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM messages').get();
  const checkpointer = new Checkpointer(path, database, (error) => assert.fail(String(error)), PAGES);
  t.after(() => checkpointer.stop());
  // Through many looks of the thread.
  for (let i = 0; i < 25; i++) await writeMessages(ledger);
  assert.equal(database.finished, 0, 'nothing could be copied');
  reader.exec('COMMIT');
  await waitFor(
    () => database.finished > 0,
    5_000,
    () => 'the log was never copied',
  );
  await checkpointer.stop();
  reader.close();
  ledger.close();
});

test('G10 a log that can not be looked at, as in a folder that this user may not read, ends no writer, and is looked at again', async () => {
  const lost = `${folder}/lost`;
  symlinkSync(lost, lost); // Whoever looks behind it is told of too many links.
  let failures = 0;
  const database = { autoCheckpoint: () => {}, finishCheckpoint: () => {} };
  const checkpointer = new Checkpointer(`${lost}/nothing.db`, database, () => failures++, PAGES);
  await sleep(200);
  assert.equal(failures, 0);
  rmSync(lost);
  mkdirSync(lost);
  writeFileSync(`${lost}/nothing.db-wal`, Buffer.alloc(PAGES * PAGE_BYTES));
  await waitFor(
    () => failures > 0,
    5_000,
    () => 'it is not looked at again',
  );
  await checkpointer.stop();
});

test('G6 there is no thread while the log is short; what can not be started is told of, and commits do the checkpoints', async () => {
  const asked: number[] = [];
  const database = { autoCheckpoint: (pages: number) => void asked.push(pages), finishCheckpoint: () => {} };
  const path = `${folder}/nothing.db`;
  const codes: (string | undefined)[] = [];
  const failed = (error: unknown): void => void codes.push((error as NodeJS.ErrnoException).code);
  const checkpointer = new Checkpointer(path, database, failed, PAGES);
  writeFileSync(`${path}-wal`, Buffer.alloc((PAGES / 2 - 1) * 4_096));
  await sleep(200);
  assert.deepEqual(codes, []);
  // There is no such file for the thread to sync.
  writeFileSync(`${path}-wal`, Buffer.alloc((PAGES / 2) * 4_096));
  await waitFor(
    () => codes.length > 0,
    5_000,
    () => 'the failure was not told of',
  );
  assert.deepEqual(codes, ['ENOENT']);
  assert.deepEqual(asked, [0, PAGES]);
  await checkpointer.stop();
});
