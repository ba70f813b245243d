import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { Backups } from '../../src/app/backups.ts';
import { temporaryFolder } from '../support/server.ts';

const folder = temporaryFolder({ after });
const database = `${folder}/chat.db`;
writeFileSync(database, '');
for (const name of ['one', 'two']) mkdirSync(`${folder}/${name}`);
symlinkSync(`${folder}/one`, `${folder}/alias`);

/** Back-ups of a writer that says what the test says. */
function fixture() {
  const ordered: string[] = [];
  return { backups: new Backups(database, (file) => ordered.push(file)), ordered };
}

test('a back-up is answered with the writer’s answer to that one, and may be asked for again', async () => {
  const { backups, ordered } = fixture();
  const [one, two] = [`${folder}/one/a.db`, `${folder}/two/a.db`];
  const made = backups.make(one, undefined);
  const failed = assert.rejects(backups.make(two, undefined), { message: 'the disk is full' });
  backups.heard({ file: two, error: 'the disk is full' });
  backups.heard({ file: one, pages: 7 });
  await failed;
  assert.deepEqual(await made, { pages: 7, database });
  const again = backups.make(two, undefined);
  backups.heard({ file: two, pages: 8 });
  assert.deepEqual(await again, { pages: 8, database });
  assert.deepEqual(ordered, [one, two, two]);
});

test('G1: a file that is being written is not asked for by another of its paths: the second would take the place of the first, unfinished', async () => {
  const { backups, ordered } = fixture();
  const asked = Promise.allSettled(
    ['one/a.db', 'one/a.db', 'alias/a.db', 'alias/b.db', 'none/a.db'].map((file) =>
      backups.make(`${folder}/${file}`, undefined),
    ),
  );
  for (const file of ordered) backups.heard({ file, pages: 1 });
  assert.deepEqual(
    (await asked).map((outcome) => outcome.status === 'fulfilled' || outcome.reason.message),
    [true, 'it is under way already', 'it is under way already', true, true],
  );
});

test('the database that the caller means is this one, by whichever path; of another one no copy is made', async () => {
  const { backups, ordered } = fixture();
  symlinkSync(database, `${folder}/link.db`);
  writeFileSync(`${folder}/other.db`, '');
  for (const meant of [`${folder}/other.db`, `${folder}/none.db`])
    await assert.rejects(backups.make('/a.db', meant), {
      message: new RegExp(`^this server writes ${database}, not ${meant}`),
    });
  assert.deepEqual(ordered, []);
  const asked = Promise.allSettled(
    [`${folder}/one/../chat.db`, `${folder}/link.db`].map((meant) => backups.make(`${meant}.copy`, meant)),
  );
  // A file that was taken away is saved by a back-up: there is nothing to compare then.
  rmSync(database);
  const saved = backups.make('/a.db', database);
  for (const file of ordered) backups.heard({ file, pages: 1 });
  assert.deepEqual(
    (await asked).map(({ status }) => status),
    ['fulfilled', 'fulfilled'],
  );
  await saved;
});

test('G10: a writer that ends leaves no back-up without an answer', async () => {
  const { backups } = fixture();
  const files = ['a.db', 'b.db'].map((name) => `${folder}/${name}`);
  const outcomes = Promise.allSettled(files.map((file) => backups.make(file, undefined)));
  backups.writerEnded();
  assert.deepEqual(
    (await outcomes).map((outcome) => outcome.status === 'rejected' && outcome.reason.message),
    files.map((file) => `the writer ended before ${file} was whole: ask again in a few seconds`),
  );
});
