import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { FileLock } from '../../src/db/file-lock.ts';
import { closeToOthers, createPrivate } from '../../src/db/files.ts';
import { DatabaseError, openForWriting } from '../../src/db/open.ts';
import { temporaryFolder } from '../support/server.ts';

const folder = temporaryFolder({ after });
const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);

/** A file of a database, as a server with another umask has left it. */
function leave(file: string, mode: number): string {
  writeFileSync(file, '');
  chmodSync(file, mode);
  return file;
}

for (const [mode, becomes, why] of [
  [0o644, '600', 'a default has left it so'],
  [0o664, '600', 'a default has left it so'],
  [0o666, '600', 'a default has left it so'],
  [0o600, '600', 'it is private'],
  [0o640, '640', 'its group was meant'],
  [0o660, '660', 'its group was meant'],
  [0o400, '400', 'it is private'],
] as const) {
  test(`G9 files: a database of mode ${mode.toString(8)} becomes ${becomes}, since ${why}`, () => {
    const file = leave(`${folder}/${mode}.db`, mode);
    assert.deepEqual(closeToOthers(file), []);
    assert.equal(modeOf(file), becomes);
  });
}

test('G9 files: what lies beside a database is closed with it, behind a link too; what is not there is not missed', () => {
  const file = leave(`${folder}/companions.db`, 0o644);
  const link = `${folder}/link.db`;
  symlinkSync(file, link);
  const beside = [`${file}-wal`, `${file}-shm`, `${file}.lock`].map((name) => leave(name, 0o644));
  assert.deepEqual(closeToOthers(link), []);
  for (const name of [file, ...beside]) assert.equal(modeOf(name), '600', name);
  assert.deepEqual(closeToOthers(`${folder}/none.db`), []);
});

test('G9 files: the log that SQLite makes beside a private database is private', () => {
  const file = leave(`${folder}/log.db`, 0o600);
  const db = openForWriting(file);
  db.exec('CREATE TABLE notes (text)');
  assert.deepEqual([modeOf(`${file}-wal`), modeOf(`${file}-shm`)], ['600', '600']);
  db.close();
});

test('G9 files: a file that can not be closed is named', () => {
  // Not even root may change this one's mode.
  const file = `/proc/${process.pid}/status`;
  assert.deepEqual(closeToOthers(file), [file]);
});

test('G9 files: a copy is private from its first byte, or its group’s where that was so; a file that is there is not taken', async () => {
  mkdirSync(`${folder}/copies`);
  const copy = (name: string): string => `${folder}/copies/${name}`;
  await createPrivate(copy('alone'));
  await createPrivate(copy('default'), leave(copy('like-644'), 0o644));
  await createPrivate(copy('group'), leave(copy('like-640'), 0o640));
  assert.deepEqual(
    ['alone', 'default', 'group'].map((name) => modeOf(copy(name))),
    ['600', '600', '640'],
  );
  await assert.rejects(createPrivate(leave(copy('there'), 0o666)), { code: 'EEXIST' });
  symlinkSync(copy('elsewhere'), copy('link'));
  await assert.rejects(createPrivate(copy('link')), { code: 'EEXIST' });
});

test('one lock for one file: a link to a database that is yet to be made leads to where it will be', () => {
  mkdirSync(`${folder}/links`);
  const file = `${folder}/links/data/chat.db`;
  mkdirSync(`${folder}/links/data`);
  symlinkSync('data/chat.db', `${folder}/links/first.db`);
  symlinkSync('first.db', `${folder}/links/second.db`);
  const lock = new FileLock(`${folder}/links/second.db`, 'exclusive');
  assert.equal(lock.acquire(), true);
  openForWriting(`${folder}/links/second.db`).close();
  for (const name of [file, `${folder}/links/first.db`, `${folder}/links/second.db`])
    assert.equal(new FileLock(name, 'exclusive').acquire(), false, name);
  lock.release();
});

test('a path that leads to no database is an error that names it: a circle of links, a file for a folder', () => {
  symlinkSync('round.db', `${folder}/about.db`);
  symlinkSync('about.db', `${folder}/round.db`);
  for (const nowhere of [`${folder}/round.db`, '/etc/passwd/chat.db']) {
    assert.throws(
      () => {
        new FileLock(nowhere, 'exclusive').acquire();
        openForWriting(nowhere);
      },
      (error) => error instanceof DatabaseError && error.message.includes(nowhere),
    );
  }
});
