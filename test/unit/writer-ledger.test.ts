import assert from 'node:assert/strict';
import { copyFileSync, renameSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { openForReading } from '../../src/db/open.ts';
import { Fenced, readIdentity } from '../../src/db/store-row.ts';
import { Reader } from '../../src/reader/reader.ts';
import { Ledger } from '../../src/writer/ledger.ts';
import { batch, commit, openLedger, openMigrated, register, send } from '../support/ledger.ts';
import { temporaryFolder } from '../support/server.ts';

const folder = temporaryFolder({ after });
let files = 0;

async function fixture(onDefect?: (error: unknown) => void): Promise<{ ledger: Ledger; path: string }> {
  const path = `${folder}/${++files}.db`;
  const ledger = await openLedger(path, onDefect);
  commit(ledger, [register('ann'), register('bob'), register('eve')]);
  return { ledger, path };
}

/** What another process sees on disk. */
function onDisk<T>(path: string, look: (reader: Reader) => T): T {
  const db = openForReading(path);
  try {
    return look(new Reader(db));
  } finally {
    db.close();
  }
}
/** What the tokens of a user have who has just registered. */
const versionOf = (path: string, user: string): number =>
  onDisk(path, (reader) => reader.credentials({ user })?.version as number);
const idsOnDisk = (path: string, user: string): readonly number[] =>
  onDisk(path, (reader) => reader.catchUp({ user, since: 0 }).ids);

test('G1 durable: what commit answers is on disk, for another process to read', async () => {
  const { ledger, path } = await fixture();
  const { committed } = commit(ledger, [send('ann', 'bob', 'hi', 'c1')]);
  const frames = committed.messages.map(({ frame }) => frame);
  assert.equal(frames.length, 1);
  assert.deepEqual(
    onDisk(path, (reader) => reader.catchUp({ user: 'bob', since: 0 }).frames),
    frames,
  );
  for (const [user, peer] of [
    ['ann', 'bob'],
    ['bob', 'ann'],
  ] as const) {
    const { conversations } = onDisk(path, (reader) => reader.conversations({ user, limit: 9 }));
    assert.deepEqual(
      conversations.map((conversation) => conversation.user),
      [peer],
    );
  }
});

test('G3 order: ids ascend by one in the order of the commands', async () => {
  const { ledger } = await fixture();
  const { committed } = commit(ledger, [
    send('ann', 'bob', '1', 'c1'),
    send('bob', 'ann', '2', 'c1'),
    send('eve', 'eve', '3', 'c1'),
  ]);
  assert.deepEqual(
    committed.messages.map(({ id, from, to }) => [id, from, to]),
    [
      [1, 'ann', 'bob'],
      [2, 'bob', 'ann'],
      [3, 'eve', 'eve'],
    ],
  );
  assert.equal(ledger.head, 3);
});

test('G3, G4 deleted: ids of the newest messages, which somebody has deleted, are given to no others, though the writer starts anew', async () => {
  const { ledger, path } = await fixture();
  commit(ledger, [send('ann', 'bob', '1', 'c1'), send('bob', 'ann', '2', 'c1')]);
  ledger.close();
  const shell = new Database(path);
  shell.exec('DELETE FROM messages');
  shell.close();
  const page = (since: number): unknown => {
    const { ids, upto, head } = onDisk(path, (reader) => reader.catchUp({ user: 'ann', since }));
    return [ids, upto, head];
  };
  assert.deepEqual(page(2), [[], 2, 2], 'a cursor of before is good');
  const successor = await openLedger(path);
  commit(successor, [register('zoe')]);
  assert.equal(commit(successor, [send('ann', 'bob', '3', 'c2')]).committed.messages[0]?.id, 3);
  assert.deepEqual(page(2), [[3], 3, 3]);
});

test('G9, G10: what somebody does to the database by hand, under the writer, is seen by its next transaction', async () => {
  const path = `${folder}/by-hand.db`;
  const db = await openMigrated(path);
  const ledger = new Ledger(db, (error) => assert.fail(String(error)));
  commit(ledger, [register('ann'), register('bob'), register('eve')]);
  commit(ledger, [send('ann', 'bob', '1', 'c1'), send('ann', 'eve', '2', 'c2')]);
  const byHand = (sql: string): void => {
    const shell = new Database(path);
    shell.exec(sql);
    shell.close();
  };
  byHand(`DELETE FROM users WHERE user_id = 'eve'; DELETE FROM messages WHERE 'eve' IN (sender, receiver);
    DELETE FROM members WHERE 'eve' IN (user_id, peer); DELETE FROM conversations WHERE 'eve' IN (user_a, user_b)`);
  const { outcomes } = commit(ledger, [
    register('zoe'),
    send('bob', 'zoe', '3', 'c3'),
    send('ann', 'eve', '4', 'c4'),
  ]);
  assert.deepEqual(outcomes[2], { kind: 'refused', code: 'unknown_user' });
  const { frames } = onDisk(path, (reader) => reader.history({ user: 'bob', peer: 'zoe', limit: 9 }));
  assert.deepEqual(
    frames.map((frame) => JSON.parse(frame).message),
    ['3'],
    'nothing of others, though its conversation has the number of theirs',
  );
  byHand(
    `INSERT INTO messages (id, conversation_id, sender, receiver, message) VALUES (4, 1, 'bob', 'ann', 'by hand')`,
  );
  db.pragma(`max_page_count = ${db.pragma('page_count', { simple: true })}`);
  assert.throws(() => commit(ledger, [send('ann', 'bob', 'x'.repeat(100_000), 'c5')]), /full/);
  db.pragma('max_page_count = 100000');
  assert.deepEqual(commit(ledger, [send('ann', 'bob', '5', 'c5')]).outcomes, [{ kind: 'done' }]);
  assert.equal(ledger.head, 5);
});

test('M5, G9: who was deleted by hand sends nothing, and is sent nothing, though the conversations were kept', async () => {
  const { ledger, path } = await fixture();
  const both = (round: number) => [
    send('ann', 'bob', 'to', `c${round}`),
    send('bob', 'ann', 'fro', `c${round}`),
  ];
  commit(ledger, both(1));
  const shell = new Database(path);
  shell.exec(`DELETE FROM users WHERE user_id = 'bob'`);
  shell.close();
  const unknown = { kind: 'refused', code: 'unknown_user' };
  assert.deepEqual(commit(ledger, both(2)).outcomes, [unknown, unknown]);
});

test('M3 once: a repeat stores nothing and answers the original, also in the same transaction, also for ever after', async () => {
  const { ledger, path } = await fixture();
  const hi = send('ann', 'bob', 'hi', 'c1');
  const { committed, outcomes } = commit(ledger, [hi, hi]);
  const original = JSON.parse(committed.messages[0]?.frame ?? '');
  const repeat = (outcome: unknown): unknown => {
    const { kind, frame } = outcome as { kind: string; frame: string };
    return [kind, JSON.parse(frame)];
  };
  assert.deepEqual(outcomes[0], { kind: 'done' });
  assert.deepEqual(repeat(outcomes[1]), ['repeat', { ...original, repeat: true }]);
  ledger.close();
  const successor = await openLedger(path);
  assert.deepEqual(repeat(commit(successor, [hi]).outcomes[0]), ['repeat', { ...original, repeat: true }]);
  assert.deepEqual(idsOnDisk(path, 'ann'), [1]);
});

test('M3 once: the same client_id with other text or receiver is a conflict; from another sender it is a send of its own', async () => {
  const { ledger } = await fixture();
  const { outcomes } = commit(ledger, [
    send('ann', 'bob', 'hi', 'c1'),
    send('ann', 'bob', 'hi!', 'c1'),
    send('ann', 'eve', 'hi', 'c1'),
    send('bob', 'ann', 'hi', 'c1'),
  ]);
  const conflict = { kind: 'refused', code: 'client_id_conflict' };
  assert.deepEqual(outcomes, [{ kind: 'done' }, conflict, conflict, { kind: 'done' }]);
  assert.equal(ledger.head, 2);
});

test('M5: a send to or from nobody is refused, and takes no id', async () => {
  const { ledger } = await fixture();
  const unknown = { kind: 'refused', code: 'unknown_user' };
  const { outcomes } = commit(ledger, [
    send('ann', 'nobody', 'hi', 'c1'),
    send('nobody', 'ann', 'hi', 'c1'),
    send('ann', 'nobody', 'hi', 'c1'),
    register('nobody'),
    send('ann', 'nobody', 'hi', 'c1'),
  ]);
  assert.deepEqual(outcomes, [unknown, unknown, unknown, { kind: 'done' }, { kind: 'done' }]);
  assert.equal(ledger.head, 1);
});

test('M5: a send that was refused stays so when its batch comes again, though the receiver has registered meanwhile; sent anew, it is stored', async () => {
  const { ledger, path } = await fixture();
  const sends = [send('ann', 'zoe', 'hi', 'c1'), send('ann', 'bob', 'hi', 'c2')];
  const apply = (seq: number, gateway: string, position: string): readonly unknown[] =>
    ledger.commit({ batches: [batch(sends, seq, gateway)], position }).results[0]?.outcomes ?? [];
  const refused = [[0, { kind: 'refused', code: 'unknown_user' }]];
  assert.deepEqual(apply(7, 'g1', '1'), refused);
  commit(ledger, [register('zoe')]);
  assert.deepEqual(apply(7, 'g1', '3')[0], refused[0]);
  assert.deepEqual(idsOnDisk(path, 'zoe'), []);
  assert.equal(
    (apply(8, 'g1', '4')[0] as [number])[0],
    1,
    'the repeat of the other alone is no plain success',
  );
  assert.deepEqual(idsOnDisk(path, 'zoe'), [2]);
});

test('M5, G6: a refused batch is remembered however many come that have nothing refused, but thousands of refused ones are not', async () => {
  const { ledger } = await fixture();
  const toZoe = [send('ann', 'zoe', 'hi', 'c1')];
  let position = 0;
  const apply = (...batches: ReturnType<typeof batch>[]) =>
    ledger.commit({ batches, position: `${++position}` }).results[0]?.outcomes;
  const many = (to: string, gateway: string) =>
    Array.from({ length: 5_000 }, (_, seq) =>
      batch([send('ann', to, 'hi', `${gateway}${seq}`)], seq, gateway),
    );
  const refused = apply(batch(toZoe, 1));
  assert.equal(refused?.length, 1);
  apply(...many('bob', 'g2'), batch([send('ann', 'nobody', 'hi', 'c2')], 1, 'g3'));
  apply(batch([register('zoe')], 2));
  assert.deepEqual(apply(batch(toZoe, 1)), refused);
  apply(...many('nobody', 'g4'));
  assert.deepEqual(apply(batch(toZoe, 1)), [], 'stored as a new one: memory has a bound');
});

test('B6: a message to oneself is one message, in one conversation, and that it was read is told once', async () => {
  const { ledger, path } = await fixture();
  const { committed } = commit(ledger, [send('ann', 'ann', 'note', 'c1')]);
  assert.equal(committed.messages.length, 1);
  assert.deepEqual(idsOnDisk(path, 'ann'), [1]);
  const read = { kind: 'mark-read', user: 'ann', peer: 'ann', id: 1 } as const;
  assert.equal(commit(ledger, [read]).committed.signals.length, 1, 'S1');
});

test('conversations: ids with a line feed (older databases may hold them) are not mixed up', async () => {
  const { ledger, path } = await fixture();
  commit(ledger, [register('a'), register('b\nc'), register('a\nb'), register('c')]);
  commit(ledger, [send('a\nb', 'c', 'one', 'c1'), send('a', 'b\nc', 'two', 'c1')]);
  assert.deepEqual(idsOnDisk(path, 'a\nb'), [1]);
  assert.deepEqual(idsOnDisk(path, 'a'), [2]);
});

test('register: the same command twice is done twice, another one for the same id is refused', async () => {
  const { ledger } = await fixture();
  const { outcomes } = commit(ledger, [register('zoe', 'h1'), register('zoe', 'h1'), register('zoe', 'h2')]);
  assert.deepEqual(outcomes, [{ kind: 'done' }, { kind: 'done' }, { kind: 'refused', code: 'user_exists' }]);
});

test('A5 change-password: the same command twice raises the version once', async () => {
  const { ledger, path } = await fixture();
  const v = versionOf(path, 'ann');
  const change = { kind: 'change-password', user: 'ann', passwordHash: 'new', version: v } as const;
  const { outcomes, committed } = commit(ledger, [change, change]);
  assert.deepEqual(outcomes, [
    { kind: 'version', version: v + 1 },
    { kind: 'version', version: v + 1 },
  ]);
  assert.deepEqual(committed.ended, [{ user: 'ann', version: v + 1, tokenId: undefined }]);
  const token = { user: 'ann', tokenId: 't', version: v };
  assert.equal(
    onDisk(path, (reader) => reader.tokenState(token)),
    'revoked',
  );
  assert.equal(
    onDisk(path, (reader) => reader.tokenState({ ...token, version: v + 1 })),
    'valid',
  );
});

test('A5 change-password: an older command that comes again does not undo a newer one', async () => {
  const { ledger, path } = await fixture();
  const v = versionOf(path, 'ann');
  const first = { kind: 'change-password', user: 'ann', passwordHash: 'first', version: v } as const;
  const second = { kind: 'change-password', user: 'ann', passwordHash: 'second', version: v + 1 } as const;
  const { outcomes } = commit(ledger, [first, second, first]);
  assert.deepEqual(outcomes, [
    { kind: 'version', version: v + 1 },
    { kind: 'version', version: v + 2 },
    { kind: 'refused', code: 'invalid_credentials' },
  ]);
  const ofNobody = { ...first, user: 'nobody' };
  assert.deepEqual(commit(ledger, [ofNobody]).outcomes, [{ kind: 'refused', code: 'unknown_user' }]);
});

test('A5 logout: ends that token, or all of them, and a repeat changes nothing', async () => {
  const { ledger, path } = await fixture();
  const v = versionOf(path, 'ann');
  const expiresAt = Math.floor(Date.now() / 1000) + 60;
  const logout = { kind: 'logout', user: 'ann', tokenId: 'one', expiresAt } as const;
  const { committed } = commit(ledger, [logout, logout]);
  assert.deepEqual(
    committed.ended[0],
    { user: 'ann', version: 0, tokenId: 'one' },
    'told to the sockets that hold it',
  );
  const state = (tokenId: string, version: number): string =>
    onDisk(path, (reader) => reader.tokenState({ user: 'ann', tokenId, version }));
  assert.deepEqual([state('one', v), state('two', v)], ['revoked', 'valid']);
  const everywhere = { kind: 'logout-everywhere', user: 'ann', version: v } as const;
  commit(ledger, [everywhere, everywhere]);
  assert.deepEqual([state('two', v), state('three', v + 1)], ['revoked', 'valid']);
});

test('S1 read: the marker goes forward only, never beyond the newest message, and is told to both; where nothing moves, to the one who asks', async () => {
  const { ledger, path } = await fixture();
  commit(ledger, [send('ann', 'bob', '1', 'c1'), send('ann', 'bob', '2', 'c2')]);
  const read = (id: number) => ({ kind: 'mark-read', user: 'bob', peer: 'ann', id }) as const;
  const told = (id: number): unknown =>
    commit(ledger, [read(id)]).committed.signals.map(({ user, frame }) => [user, JSON.parse(frame).id]);
  assert.deepEqual(told(1), [
    ['bob', 1],
    ['ann', 1],
  ]);
  assert.deepEqual(told(1), [['bob', 1]]);
  assert.deepEqual(told(0), [['bob', 1]]);
  assert.deepEqual(told(Number.MAX_SAFE_INTEGER), [
    ['bob', 2],
    ['ann', 2],
  ]);
  const [summary] = onDisk(path, (reader) => reader.conversations({ user: 'bob', limit: 10 }).conversations);
  assert.deepEqual([summary?.read, summary?.unread], [2, 0]);
  const nobody = { kind: 'mark-read', user: 'bob', peer: 'nobody', id: 1 } as const;
  const answer = JSON.stringify({ type: 'read', user: 'bob', with: 'nobody', id: 1 });
  assert.deepEqual(commit(ledger, [nobody]).committed.signals, [{ user: 'bob', frame: answer }]);
});

test('G1 rollback: a transaction that fails leaves head, conversations and log position as they were', async () => {
  const path = `${folder}/full.db`;
  const db = await openMigrated(path);
  const ledger = new Ledger(db, (error) => assert.fail(String(error)));
  commit(ledger, [register('ann'), register('bob'), register('eve'), send('ann', 'bob', '1', 'c1')], '7');
  const group = [
    send('ann', 'eve', '2', 'c2'),
    ...Array.from({ length: 5 }, (_, i) => send('ann', 'bob', 'x'.repeat(8_000), `d${i}`)),
  ];
  // A disk that has no more room.
  db.pragma(`max_page_count = ${db.pragma('page_count', { simple: true })}`);
  assert.throws(() => commit(ledger, group, '8'), { code: 'SQLITE_FULL' }, 'and no defect of one command');
  assert.deepEqual([ledger.head, ledger.position], [1, '7']);
  assert.deepEqual(idsOnDisk(path, 'ann'), [1]);
  db.pragma('max_page_count = 100000');
  const { outcomes, committed } = commit(ledger, group, '8');
  assert.deepEqual(new Set(outcomes.map(({ kind }) => kind)), new Set(['done']));
  assert.deepEqual(
    committed.messages.map(({ id }) => id),
    [2, 3, 4, 5, 6, 7],
  );
  assert.deepEqual([ledger.head, ledger.position], [7, '8']);
  assert.deepEqual(idsOnDisk(path, 'eve'), [2], 'the conversation of the failed transaction was made anew');
});

test('G7 fence: a writer of an earlier generation can neither commit nor prove that it could, and nothing of it is stored', async () => {
  const { ledger: old, path } = await fixture();
  const fresh = await openLedger(path);
  assert.equal(fresh.identity.generation, old.identity.generation + 1);
  assert.throws(() => commit(old, [send('ann', 'bob', 'late', 'c1')], '99'), Fenced);
  assert.throws(() => old.commitCanary(), Fenced);
  assert.deepEqual(idsOnDisk(path, 'ann'), []);
  assert.notEqual(fresh.position, '99');
  fresh.commitCanary();
  commit(fresh, [send('ann', 'bob', 'hi', 'c1')]);
  assert.deepEqual(idsOnDisk(path, 'ann'), [1]);
});

test('G1, G10: nothing is acknowledged into a file that was deleted or replaced, its back-up has all before; put back, commits go on', async () => {
  const { ledger, path } = await fixture();
  commit(ledger, [send('ann', 'bob', 'before', 'c1')]);
  renameSync(path, `${path}.away`);
  const moved = { name: 'DatabaseError', message: /moved, deleted or replaced/ };
  assert.throws(() => commit(ledger, [send('ann', 'bob', 'while', 'c2')]), moved);
  assert.throws(() => ledger.commitCanary(), moved);
  writeFileSync(path, 'another');
  assert.throws(() => ledger.commitCanary(), moved);
  await ledger.backUp(`${path}.saved`);
  assert.deepEqual(idsOnDisk(`${path}.saved`, 'ann'), [1]);
  renameSync(`${path}.away`, path);
  commit(ledger, [send('ann', 'bob', 'after', 'c3')]);
  assert.equal(ledger.head, 2);
});

for (const suffix of ['-wal', '-shm']) {
  test(`G1, G10: nothing is acknowledged once the file's ${suffix} was deleted: commits would be in a log that nobody finds`, async () => {
    const { ledger, path } = await fixture();
    commit(ledger, [send('ann', 'bob', 'before', 'c1')]);
    renameSync(path + suffix, `${path}.away`);
    const moved = {
      name: 'DatabaseError',
      message: new RegExp(`moved, deleted or replaced under the server: \\S+db${suffix} `),
    };
    assert.throws(() => commit(ledger, [send('ann', 'bob', 'while', 'c2')]), moved);
    assert.throws(() => ledger.commitCanary(), moved);
    await ledger.backUp(`${path}.saved`);
    assert.deepEqual(idsOnDisk(`${path}.saved`, 'ann'), [1]);
    renameSync(`${path}.away`, path + suffix);
    commit(ledger, [send('ann', 'bob', 'after', 'c3')]);
    assert.equal(ledger.head, 2);
  });
}

test('G7: every transaction is counted, whatever it does, in the file as the writer says it; one that fails is not', async () => {
  const path = `${folder}/counted.db`;
  const db = await openMigrated(path);
  const ledger = new Ledger(db, (error) => assert.fail(String(error)));
  const counts = [ledger.identity.transactions];
  const step = (transaction: () => unknown): void => {
    transaction();
    assert.deepEqual(onDiskIdentity(path), ledger.identity);
    counts.push(ledger.identity.transactions);
  };
  assert.deepEqual(onDiskIdentity(path), ledger.identity);
  step(() => commit(ledger, [register('ann')]));
  step(() => commit(ledger, [{ kind: 'logout', user: 'ann', tokenId: 't', expiresAt: 1 }]));
  step(() => commit(ledger, []));
  step(() => ledger.commitCanary());
  db.pragma(`max_page_count = ${db.pragma('page_count', { simple: true })}`);
  step(() => assert.throws(() => commit(ledger, [send('ann', 'ann', 'x'.repeat(100_000), 'c1')]), /full/));
  assert.deepEqual(
    counts.map((count) => count - (counts[0] ?? 0)),
    [0, 1, 2, 3, 4, 4],
  );
});

test('G7: a transaction that fails only when it is committed is not counted, and nothing of it stays', async () => {
  const path = `${folder}/last-step.db`;
  const db = await openMigrated(path);
  const ledger = new Ledger(db, (error) => assert.fail(String(error)));
  commit(ledger, [register('ann')]);
  // A foreign key that is looked at in COMMIT.
  db.exec(`CREATE TABLE nobody (id INTEGER PRIMARY KEY);
    CREATE TABLE theirs (id INTEGER REFERENCES nobody DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER at_last AFTER UPDATE ON store BEGIN INSERT INTO theirs VALUES (1); END`);
  db.pragma('foreign_keys = ON');
  const before = ledger.identity;
  for (const transaction of [
    () => commit(ledger, [send('ann', 'ann', 'hi', 'c1')]),
    () => ledger.commitCanary(),
  ]) {
    assert.throws(transaction, /FOREIGN KEY/);
    assert.deepEqual([ledger.identity, onDiskIdentity(path)], [before, before]);
  }
  db.exec('DROP TRIGGER at_last');
  assert.equal(commit(ledger, [send('ann', 'ann', 'hi', 'c1')]).committed.messages[0]?.id, 1);
  assert.deepEqual(ledger.identity, onDiskIdentity(path));
});

test('G1 checkpoint: one that the disk does not take costs a longer log, and not the writer', async (t) => {
  const db = await openMigrated(`${folder}/checkpoint.db`);
  const ledger = new Ledger(db, (error) => assert.fail(String(error)));
  after(() => ledger.close());
  const { mock } = t.mock.method(db, 'pragma', () => {
    throw new Database.SqliteError('database or disk is full', 'SQLITE_FULL');
  });
  ledger.finishCheckpoint();
  assert.equal(mock.callCount(), 1);
  mock.restore();
  assert.deepEqual(commit(ledger, [register('a')]).outcomes, [{ kind: 'done' }]);
  for (const pages of [0, 500]) {
    ledger.autoCheckpoint(pages);
    assert.equal(db.pragma('wal_autocheckpoint', { simple: true }), pages);
  }
});

test('G1 stop: the file of a writer that ended has all in it, for who copies it alone, while a reader has it open', async () => {
  const { ledger, path } = await fixture();
  const reader = openForReading(path);
  const count = 'SELECT count(*) FROM messages';
  commit(ledger, [send('ann', 'bob', 'one', 'c1')]);
  assert.equal(reader.prepare(count).pluck().get(), 1);
  ledger.close();
  const copy = `${path}.copied-alone`;
  copyFileSync(path, copy);
  reader.close();
  const copied = openForReading(copy);
  assert.equal(copied.prepare(count).pluck().get(), 1);
  copied.close();
});

test('G1 offset: the log position is stored with the commands, and read on from by the successor', async () => {
  const { ledger, path } = await fixture();
  ledger.commit({ batches: [], position: '41' });
  commit(ledger, [], '42');
  ledger.close();
  const successor = await openLedger(path);
  assert.equal(successor.position, '42');
  assert.equal(successor.identity.databaseId, onDiskIdentity(path).databaseId);
});

const onDiskIdentity = (path: string): ReturnType<typeof readIdentity> => {
  const db = openForReading(path);
  try {
    return readIdentity(db);
  } finally {
    db.close();
  }
};

test('G6: a command that is defective is refused, told, and keeps nobody from committing', async () => {
  const defects: unknown[] = [];
  const { ledger } = await fixture((error) => defects.push(error));
  const broken = [
    null,
    {},
    { kind: 'send', from: 'ann', to: 'bob', clientId: 'c9' },
    { kind: 'fly' },
    { ...register('x'), passwordHash: null },
    { ...send('ann', 'bob', '', 'c8'), text: {} },
  ];
  const { outcomes } = commit(ledger, [...(broken as never[]), send('ann', 'bob', 'hi', 'c1')]);
  assert.deepEqual(outcomes, [
    ...broken.map(() => ({ kind: 'refused', code: 'internal' })),
    { kind: 'done' },
  ]);
  assert.equal(defects.length, broken.length);
  assert.match(String(defects[3]), /this store knows no command 'fly'/);
  assert.equal(ledger.head, 1);
});

test('G2 once: any sequence of commands, in any grouping, stores each client_id once, with its first content', async () => {
  const users = ['ann', 'bob', 'eve'];
  const command = fc
    .record({
      from: fc.constantFrom(...users),
      to: fc.constantFrom(...users),
      text: fc.constantFrom('x', 'y'),
      clientId: fc.constantFrom('1', '2', '3', '4'),
    })
    .map(({ from, to, text, clientId }) => ({ from, to, text, clientId }));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(command, { maxLength: 6 }), { maxLength: 6 }), async (groups) => {
      const { ledger, path } = await fixture();
      const first = new Map<string, { to: string; text: string; id: number }>();
      for (const group of groups) {
        const { outcomes } = commit(
          ledger,
          group.map(({ from, to, text, clientId }) => send(from, to, text, clientId)),
        );
        group.forEach(({ from, to, text, clientId }, i) => {
          const key = `${from} ${clientId}`;
          const known = first.get(key);
          if (known === undefined) {
            assert.equal(outcomes[i]?.kind, 'done');
            first.set(key, { to, text, id: first.size + 1 });
          } else {
            assert.equal(outcomes[i]?.kind, known.to === to && known.text === text ? 'repeat' : 'refused');
          }
        });
      }
      assert.equal(ledger.head, first.size);
      for (const user of users) {
        const expected = [...first].flatMap(([key, { to, id }]) =>
          key.startsWith(`${user} `) || to === user ? [id] : [],
        );
        assert.deepEqual(idsOnDisk(path, user), expected);
      }
      ledger.close();
    }),
    { numRuns: 25 },
  );
});

test('G9: an ended token is kept for long after it expired: a clock set wrong for a while must not bring it back', async () => {
  const path = `${folder}/${++files}.db`;
  const db = await openMigrated(path);
  const days = (count: number): number => Math.floor(Date.now() / 1000) - count * 24 * 3600;
  const end = db.prepare('INSERT INTO ended_tokens (token_id, expires_at) VALUES (?, ?)');
  end.run('expired a week ago', days(7));
  end.run('expired last year', days(365));
  new Ledger(db, () => {}).commitCanary();
  assert.deepEqual(db.prepare('SELECT token_id FROM ended_tokens').pluck().all(), ['expired a week ago']);
});

test('G6: tokens that ended long ago are cleaned up once an hour by a writer that never rests, too, since it has no canary to commit', async (t) => {
  const path = `${folder}/${++files}.db`;
  const db = await openMigrated(path);
  const ledger = new Ledger(db, (error) => assert.fail(String(error)));
  const end = db.prepare('INSERT INTO ended_tokens (token_id, expires_at) VALUES (?, 0)');
  const kept = db.prepare('SELECT token_id FROM ended_tokens').pluck();
  const start = performance.now();
  const { mock } = t.mock.method(performance, 'now', () => start);
  const after = (minutes: number): unknown[] => {
    mock.mockImplementation(() => start + minutes * 60_000);
    commit(ledger, []);
    return kept.all();
  };
  end.run('first');
  assert.deepEqual(after(0), []);
  end.run('second');
  assert.deepEqual(after(59), ['second']);
  assert.deepEqual(after(60), []);
  end.run('third');
  assert.deepEqual(after(61), ['third'], 'an hour from the last time');
});

test('A5, G9 logout everywhere: is told for the sockets that hold the tokens, and one that comes again late brings none back to life', async () => {
  const { ledger, path } = await fixture();
  const v = versionOf(path, 'ann');
  const everywhere = (version: number) => ({ kind: 'logout-everywhere', user: 'ann', version }) as const;
  const { committed } = commit(ledger, [everywhere(v)]);
  assert.deepEqual(committed.ended, [{ user: 'ann', version: v + 1, tokenId: undefined }]);
  commit(ledger, [everywhere(v + 1), everywhere(v)]);
  const state = (version: number): string =>
    onDisk(path, (reader) => reader.tokenState({ user: 'ann', tokenId: 'id', version }));
  assert.deepEqual([state(v + 1), state(v + 2)], ['revoked', 'valid']);
});

test('G9 conversations: pairs whose ids are the same text one after the other are not mixed up: nobody reads what two others write', async () => {
  const { ledger, path } = await fixture();
  const history = (user: string, peer: string): number =>
    onDisk(path, (reader) => reader.history({ user, peer, limit: 9 }).frames.length);
  for (const between of ['', ' ', '\n']) {
    const [one, two] = [`a${between}b`, `b${between}c`];
    commit(ledger, [register('a'), register('c'), register(one), register(two)]);
    commit(ledger, [send(one, 'c', 'one', between), send('a', two, 'two', between)]);
    assert.deepEqual([history(one, 'c'), history('a', two)], [1, 1], JSON.stringify(between));
  }
});

test('G9 register: a name that is registered again, as after a restore, has other tokens than before', async () => {
  const before = await fixture();
  await new Promise((later) => setTimeout(later, 5));
  const after = await fixture();
  assert.ok(versionOf(after.path, 'ann') > versionOf(before.path, 'ann'));
});

test('G9 register: who has a name again that was deleted by hand does not share it: the sockets of whoever had it before end', async () => {
  const { ledger, path } = await fixture();
  const byHand = new Database(path);
  byHand.exec("DELETE FROM users WHERE user_id = 'eve'");
  byHand.close();
  const { committed } = commit(ledger, [register('eve', 'of another eve')]);
  assert.deepEqual(committed.ended, [{ user: 'eve', version: versionOf(path, 'eve'), tokenId: undefined }]);
  assert.deepEqual(commit(ledger, [register('eve', 'of a third one')]).committed.ended, []);
  ledger.close();
});
