import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import Database from 'better-sqlite3';
import { FileLock } from '../../src/db/file-lock.ts';
import { closeToOthers, createPrivate, sameFile } from '../../src/db/files.ts';
import { DatabaseError, openForReading, openForWriting, placeCheck, reason } from '../../src/db/open.ts';
import { ROOT } from '../support/root.ts';
import { temporaryFolder } from '../support/server.ts';

const folder = temporaryFolder({ after });
const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);

/** A file of a database, as a server with another umask has left it. */
function leave(file: string, mode: number): string {
  writeFileSync(file, '');
  chmodSync(file, mode);
  return file;
}

/** The files that this process has open, of those whose paths begin so. */
const openedFrom = (start: string): string[] =>
  readdirSync('/proc/self/fd')
    .map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return ''; // That of the list itself, which is closed.
      }
    })
    .filter((target) => target.startsWith(start));

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

test('G1, G10: a database behind a link is missed once its log was deleted, which lies beside the file and not beside the link', () => {
  const [file, link] = [`${folder}/linked-to.db`, `${folder}/links-to.db`];
  writeFileSync(file, '');
  symlinkSync(file, link);
  const db = openForWriting(link);
  db.exec('CREATE TABLE notes (text)');
  const check = placeCheck(db);
  check();
  rmSync(`${file}-wal`);
  assert.throws(check, { name: 'DatabaseError', message: /linked-to\.db-wal/ });
  db.close();
});

test('a database whose log is not for this user to use can not be opened, and the log is named', () => {
  const file = `${folder}/closed-log.db`;
  openForWriting(file).close();
  // Root may use any file, but no folder in its place.
  mkdirSync(`${file}-wal`);
  for (const open of [openForWriting, openForReading])
    assert.throws(() => open(file), { message: /closed-log\.db-wal, which belongs to it, may not be read/ });
});

test('who reads a database does not change it, and makes none where there is none', () => {
  const file = `${folder}/read.db`;
  assert.throws(() => openForReading(file), { name: 'DatabaseError' });
  assert.equal(existsSync(file), false);
  openForWriting(file).close();
  const reading = openForReading(file);
  assert.throws(() => reading.exec('CREATE TABLE t (a)'), { code: 'SQLITE_READONLY' });
  reading.close();
});

test('a database that can not be opened is not left open', { skip: !existsSync('/proc/self/fd') }, () => {
  const file = `${folder}/no-database.db`;
  writeFileSync(file, 'x'.repeat(4_096));
  assert.throws(() => openForWriting(file), { name: 'DatabaseError', message: /not an SQLite database/ });
  assert.deepEqual(openedFrom(file), []);
});

test('a store that stands by asks for the lock for days, and none of its questions leaves the file open', {
  skip: !existsSync('/proc/self/fd'),
}, () => {
  const file = `${folder}/stood-by.db`;
  const [holder, asking] = [new FileLock(file, 'exclusive'), new FileLock(file, 'exclusive')];
  assert.equal(holder.acquire(), true);
  for (let i = 0; i < 10; i++) assert.equal(asking.acquire(), false);
  holder.release(); // Until then, SQLite itself keeps them: closing one would drop the lock.
  assert.deepEqual(openedFrom(file), []);
});

test('a file that can not be looked at is the same as none: it is for who opens it to say what is wrong', () => {
  const file = `${folder}/looked-at.db`;
  writeFileSync(file, '');
  assert.equal(sameFile(file, `${folder}/./looked-at.db`), true);
  // What another user may not search, root may. A name that is too long, nobody may look at.
  for (const other of ['nowhere.db', `${'x'.repeat(300)}.db`])
    assert.equal(sameFile(`${folder}/${other}`, file), false);
});

test('a copy is another file than its original, though on the same disk; a link leads to the same one', () => {
  const [file, copy, link] = [`${folder}/original.db`, `${folder}/copy.db`, `${folder}/same.db`];
  for (const name of [file, copy]) writeFileSync(name, '');
  symlinkSync(file, link);
  assert.deepEqual([sameFile(file, copy), sameFile(file, link)], [false, true]);
});

test('a path that leads to no database is an error that names it: a circle of links, a file for a folder, no folder', () => {
  symlinkSync('round.db', `${folder}/about.db`);
  symlinkSync('about.db', `${folder}/round.db`);
  const named = (path: string) => (error: unknown) =>
    error instanceof DatabaseError && error.message.includes(path);
  const unlockable = ['/etc/passwd/chat.db', `${folder}/no/folder/chat.db`];
  // A circle has a folder, where a lock can be.
  for (const nowhere of [`${folder}/round.db`, ...unlockable])
    assert.throws(() => openForWriting(nowhere), named(nowhere));
  for (const nowhere of unlockable)
    assert.throws(() => new FileLock(nowhere, 'exclusive').acquire(), named(nowhere));
});

test('G7: a lock that is shared keeps out who wants to be alone, and nobody else; who is alone keeps out everybody, until they let go', () => {
  const [one, other, alone, second] = (['shared', 'shared', 'exclusive', 'exclusive'] as const).map(
    (mode) => new FileLock(`${folder}/shared.db`, mode),
  ) as [FileLock, FileLock, FileLock, FileLock];
  const acquire = (...locks: FileLock[]): boolean[] => locks.map((lock) => lock.acquire());
  assert.deepEqual(acquire(one, other, alone), [true, true, false]);
  one.release();
  assert.deepEqual(acquire(alone), [false], 'the other has it still');
  other.release();
  assert.deepEqual(acquire(alone, alone), [true, true], 'who has it may ask again');
  assert.deepEqual(acquire(one, second), [false, false]);
  alone.release();
  assert.deepEqual(acquire(second), [true]);
  second.release();
});

for (const [code, words] of [
  ['SQLITE_FULL', /^the disk is full/],
  ['SQLITE_IOERR_SHMSIZE', /^the disk is full/],
  ['SQLITE_IOERR_FSYNC', /^the disk answers with an I\/O error \(SQLITE_IOERR_FSYNC\)$/],
  ['SQLITE_CORRUPT_INDEX', /^the file is corrupt/],
  ['SQLITE_NOTADB', /^the file is not an SQLite database$/],
  ['SQLITE_CANTOPEN', /^the file or its folder does not exist, or may not be read or written by this user$/],
  ['SQLITE_READONLY_DIRECTORY', /^the file or its folder may not be written by this user$/],
  ['SQLITE_BUSY_SNAPSHOT', /^another process keeps it locked$/],
  ['SQLITE_ERROR', /^no such thing$/],
] as const) {
  test(`G10: ${code} is said in words`, () => {
    assert.match(reason(new Database.SqliteError('no such thing.', code)), words);
  });
}

test('files: in the image, SQLite puts what it needs for a while beside the database, and not where memory may be', () => {
  const image = readFileSync(path.join(ROOT, 'Dockerfile'), 'utf8');
  const setting = (name: string): string =>
    new RegExp(`^ENV .*\\b${name}=(\\S+)`, 'm').exec(image)?.[1] ?? '';
  assert.equal(setting('SQLITE_TMPDIR'), path.dirname(setting('DATABASE_PATH')));
});

test('database: a process without file descriptors says so, not that the file is missing', () => {
  const file = `${folder}/few-files.db`;
  openForWriting(file).close();
  const script = `
    import { openSync } from 'node:fs';
    import { openForReading } from './src/db/open.ts';
    openForReading(process.argv[1]).close();
    try { for (;;) openSync('/dev/null'); } catch {}
    try { openForReading(process.argv[1]); } catch (error) { process.stdout.write(error.message); }`;
  const started = [
    '-c',
    'ulimit -n 64; exec "$0" "$@"',
    process.execPath,
    '--input-type=module',
    '-e',
    script,
  ];
  const said = execFileSync('sh', [...started, file], { cwd: ROOT, encoding: 'utf8' });
  assert.match(said, /few-files\.db can't be opened: this process, or the machine, has no file descriptors/);
});
