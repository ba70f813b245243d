import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import Database from 'better-sqlite3';
import { Passwords } from '../../src/auth/passwords.ts';
import { isOurs, migrate, refuseForeign, SCHEMA_VERSION } from '../../src/db/migrate.ts';
import { DatabaseError, type Db, openForReading, openForWriting } from '../../src/db/open.ts';
import { readIdentity } from '../../src/db/store-row.ts';
import { Reader } from '../../src/reader/reader.ts';
import { commit, openLedger, send } from '../support/ledger.ts';
import { temporaryFolder } from '../support/server.ts';

const folder = temporaryFolder({ after });
const fakeHash = async (password: string): Promise<string> => `#${password.length}`;
let files = 0;
const newPath = (): string => `${folder}/${++files}.db`;

const MARK = 'clear-text-password';
const USERS = 12;
const MESSAGES = 10_000;

/** A file as the chat app before Parley left it. */
function seed(withId: boolean, options: { users?: number; messages?: number } = {}): string {
  const path = newPath();
  const db = new Database(path);
  db.exec(`
    CREATE TABLE users (user_id TEXT PRIMARY KEY, password TEXT);
    CREATE TABLE messages (${withId ? 'id INTEGER PRIMARY KEY AUTOINCREMENT, ' : ''}sender TEXT, receiver TEXT,
      message TEXT, timestamp DATETIME DEFAULT CURRENT_TIMESTAMP);`);
  db.transaction(() => {
    const user = db.prepare('INSERT INTO users VALUES (?, ?)');
    for (let i = 0; i < (options.users ?? USERS); i++) user.run(`user${i}`, `${MARK}-${i}-${'x'.repeat(40)}`);
    const message = db.prepare(
      'INSERT INTO messages (sender, receiver, message, timestamp) VALUES (?, ?, ?, ?)',
    );
    for (let i = 0; i < (options.messages ?? MESSAGES); i++) {
      const time = new Date(1.68e12 + (i % 1000) * 1000).toISOString().slice(0, 19).replace('T', ' ');
      message.run(
        `user${i % USERS}`,
        i % 97 === 0 ? 'ghost' : `user${(i * 7) % USERS}`,
        `message ${i}`,
        time,
      );
    }
  })();
  db.close();
  return path;
}

const holds = (path: string, text: string): boolean =>
  [path, `${path}-wal`, `${path}-shm`, `${path}-journal`].some(
    (file) => existsSync(file) && readFileSync(file).includes(text),
  );
const messagesOf = (db: Db): unknown[] =>
  db.prepare('SELECT sender, receiver, message, timestamp FROM messages ORDER BY rowid').all();

test('M2: whatever the old app has as a timestamp becomes UTC in the form that is promised, or the beginning of time', async () => {
  const path = seed(true, { users: 2, messages: 0 });
  const old = new Database(path);
  const insert = old.prepare(
    'INSERT INTO messages (sender, receiver, message, timestamp) VALUES (?, ?, ?, ?)',
  );
  const times: readonly [found: string | number | null, becomes: string][] = [
    ['2023-04-17 12:00:00', '2023-04-17 12:00:00'],
    ['2023-04-17T12:00:00Z', '2023-04-17 12:00:00'],
    ['2023-04-17 12:00:00.123456', '2023-04-17 12:00:00'],
    ['2023-04-17 12:00:00+02:00', '2023-04-17 10:00:00'],
    [1681732800, '2023-04-17 12:00:00'],
    [1681732800.5, '2023-04-17 12:00:00'],
    [null, '1970-01-01 00:00:00'],
    ['', '1970-01-01 00:00:00'],
    ['yesterday', '1970-01-01 00:00:00'],
    [12, '1970-01-01 00:00:00'],
  ];
  for (const [found] of times) insert.run('user0', 'user1', `sent at ${found}`, found);
  old.close();
  const db = openForWriting(path);
  await migrate(db, fakeHash);
  const rows = db.prepare('SELECT message, timestamp FROM messages ORDER BY id').raw().all();
  assert.deepEqual(
    rows,
    times.map(([found, becomes]) => [`sent at ${found}`, becomes]),
  );
  db.close();
});

test('migration: an empty file becomes a database of this schema, with an identity of its own', async () => {
  const [one, two] = [openForWriting(newPath()), openForWriting(newPath())];
  assert.deepEqual(await migrate(one, fakeHash), { from: 0, to: SCHEMA_VERSION });
  await migrate(two, fakeHash);
  assert.ok(isOurs(one));
  assert.notEqual(readIdentity(one).databaseId, readIdentity(two).databaseId);
  assert.notEqual(readIdentity(one).epoch, readIdentity(two).epoch);
  const before = readIdentity(one);
  assert.deepEqual(await migrate(one, fakeHash), { from: SCHEMA_VERSION, to: SCHEMA_VERSION });
  assert.deepEqual(readIdentity(one), before);
  one.close();
  two.close();
});

for (const withId of [true, false]) {
  test(`migration: the old chat app's file ${withId ? 'with' : 'without'} ids: nothing lost, order kept, logins work, no password left in clear`, async () => {
    const path = seed(withId);
    const original = new Database(path);
    const rows = messagesOf(original);
    original.close();
    assert.ok(holds(path, MARK));
    const passwords = new Passwords({ atOnce: 4 });
    const db = openForWriting(path);
    const report = await migrate(db, (password) => passwords.hash(password));
    assert.deepEqual(report.imported, { users: USERS, usersWithoutId: 0, messages: MESSAGES });
    assert.deepEqual(messagesOf(db), rows);
    assert.equal(holds(path, MARK), false, 'while it is open');
    const reader = new Reader(db);
    for (let i = 0; i < USERS; i++) {
      const { passwordHash } = reader.credentials({ user: `user${i}` }) ?? {};
      assert.ok(await passwords.matches(`${MARK}-${i}-${'x'.repeat(40)}`, passwordHash));
    }
    assert.equal(
      await passwords.matches(`${MARK}-0`, reader.credentials({ user: 'user0' })?.passwordHash),
      false,
    );
    assert.equal(reader.credentials({ user: 'ghost' }), null);
    const mine = db.prepare('SELECT count(*) FROM messages WHERE ? IN (sender, receiver)').pluck();
    for (const user of ['user3', 'ghost']) {
      assert.equal(reader.recent({ user, limit: 20_000 }).rows.length, mine.get(user));
      for (const { unread } of reader.conversations({ user, limit: 100 }).conversations)
        assert.equal(unread, 0);
    }
    assert.equal(db.pragma('integrity_check', { simple: true }), 'ok');
    assert.deepEqual(db.prepare('SELECT name FROM sqlite_temp_schema').all(), []);
    db.close();
    assert.equal(holds(path, MARK), false, 'after it was closed');
  });
}

test('A5, G9 migration: an old file that is taken over once more, as after a trial, makes no token valid that was ended in between', async () => {
  const trial = seed(true, { users: 1, messages: 0 });
  const original = `${trial}.original`;
  copyFileSync(trial, original);
  const takenOver = async (path: string): Promise<Reader> => {
    const db = openForWriting(path);
    await migrate(db, fakeHash);
    return new Reader(db);
  };
  const first = await takenOver(trial);
  const version = first.credentials({ user: 'user0' })?.version as number;
  const token = { user: 'user0', tokenId: 't', version };
  assert.equal(first.tokenState(token), 'valid');
  await new Promise((later) => setTimeout(later, 5));
  const second = await takenOver(original);
  assert.equal(second.tokenState(token), 'revoked');
});

/** Runs a migration that dies before a statement; the answer is a copy of the files as they were then. */
async function dieBefore(path: string, statement: RegExp): Promise<string | undefined> {
  const db = openForWriting(path);
  let copy: string | undefined;
  const watch = (name: 'exec' | 'pragma'): void => {
    const real = db[name].bind(db) as (sql: string, ...rest: unknown[]) => unknown;
    Object.assign(db, {
      [name]: (sql: string, ...rest: unknown[]) => {
        if (copy === undefined && statement.test(sql)) {
          copy = newPath();
          for (const end of ['', '-wal']) if (existsSync(path + end)) copyFileSync(path + end, copy + end);
        }
        return real(sql, ...rest);
      },
    });
  };
  watch('exec');
  watch('pragma');
  await migrate(db, fakeHash);
  db.close();
  return copy;
}

for (const [point, statement] of [
  ['between the import and the scrub', /^VACUUM/],
  ['between the VACUUM and what follows', /scrub_pending = 0|wal_checkpoint/],
  ['before the checkpoint', /wal_checkpoint/],
  ['before the flag is taken back', /scrub_pending = 0/],
] as const) {
  test(`migration: a crash ${point} is made good at the next start: no password left in clear`, async () => {
    const crashed = await dieBefore(seed(true, { messages: 200 }), statement);
    assert.ok(crashed);
    const db = openForWriting(crashed);
    await migrate(db, fakeHash);
    assert.equal(holds(crashed, MARK), false);
    assert.equal(db.prepare('SELECT count(*) FROM messages').pluck().get(), 200);
    db.close();
  });
}

test('migration: a crash within the import leaves the old file as it was', async () => {
  const path = seed(false, { messages: 200 });
  const crashed = await dieBefore(path, /DROP TABLE seed_messages/);
  assert.ok(crashed);
  const before = new Database(crashed, { readonly: true });
  assert.equal(
    before.prepare('SELECT count(*) FROM users WHERE password LIKE ?').pluck().get(`${MARK}%`),
    USERS,
  );
  assert.equal(before.prepare('SELECT count(*) FROM messages').pluck().get(), 200);
  before.close();
  const db = openForWriting(crashed);
  assert.deepEqual((await migrate(db, fakeHash)).imported, {
    users: USERS,
    usersWithoutId: 0,
    messages: 200,
  });
  db.close();
});

for (const [gone, imported] of [
  ['users', { users: 0, usersWithoutId: 0, messages: 5 }],
  ['messages', { users: 2, usersWithoutId: 0, messages: 0 }],
] as const) {
  test(`migration: an old file without the table ${gone} is taken over`, async () => {
    const path = seed(true, { users: 2, messages: 5 });
    const old = new Database(path);
    old.exec(`DROP TABLE ${gone}`);
    old.close();
    const db = openForWriting(path, refuseForeign);
    assert.deepEqual((await migrate(db, fakeHash)).imported, imported);
    db.close();
    assert.equal(holds(path, MARK), false);
  });
}

test('migration: a user without an id, as the old table allows, is left out and counted', async () => {
  const path = seed(true, { users: 2, messages: 0 });
  const old = new Database(path);
  old.exec("INSERT INTO users VALUES (NULL, 'one'), (NULL, 'two')");
  old.close();
  const db = openForWriting(path);
  assert.deepEqual((await migrate(db, fakeHash)).imported, { users: 2, usersWithoutId: 2, messages: 0 });
  db.close();
});

test('migration: rows that read as a user there is, whom nobody could be, are left out and counted', async () => {
  const path = seed(true, { users: 1, messages: 0 });
  const old = new Database(path);
  old.exec(`
    INSERT INTO users VALUES (CAST('bob' AS BLOB), 'blob'), ('bob', 'text'), (CAST(x'61ff' AS TEXT), 'a');
    INSERT INTO users VALUES (CAST(x'61fe' AS TEXT), 'other');`);
  old.close();
  const db = openForWriting(path);
  const { imported } = await migrate(db, async (password) => `# ${password}`);
  assert.deepEqual(imported, { users: 3, usersWithoutId: 2, messages: 0 });
  const reader = new Reader(db);
  assert.equal(reader.credentials({ user: 'bob' })?.passwordHash, '# text');
  assert.equal(reader.credentials({ user: 'a\ufffd' })?.passwordHash, '# a');
  db.close();
});

test('H5 migration: who had no password, or an empty one, is taken over as one whom nobody can log in as', async () => {
  const path = seed(true, { users: 0, messages: 0 });
  const old = new Database(path);
  old.exec("INSERT INTO users VALUES ('ann', NULL), ('bob', '')");
  old.close();
  const db = openForWriting(path);
  assert.equal((await migrate(db, fakeHash)).imported?.users, 2);
  const reader = new Reader(db);
  for (const user of ['ann', 'bob']) assert.equal(reader.credentials({ user })?.passwordHash, '');
  db.close();
});

test('migration: whatever type the old columns have, users and messages are taken over as the texts they read as', async () => {
  const path = newPath();
  const old = new Database(path);
  old.exec(`
    CREATE TABLE users (user_id, password);
    CREATE TABLE messages (sender, receiver, message, timestamp);
    INSERT INTO users VALUES (7, 4321), ('bob', CAST('secret' AS BLOB));
    INSERT INTO messages VALUES (7, 'bob', 12, NULL), (CAST('bob' AS BLOB), 7, CAST('blob' AS BLOB), NULL), (NULL, NULL, NULL, NULL);`);
  old.close();
  const db = openForWriting(path);
  const { imported } = await migrate(db, async (password) => `# ${JSON.stringify(password)}`);
  assert.deepEqual(imported, { users: 2, usersWithoutId: 0, messages: 3 });
  const reader = new Reader(db);
  assert.equal(reader.credentials({ user: '7' })?.passwordHash, '# "4321"');
  assert.equal(reader.credentials({ user: 'bob' })?.passwordHash, '# "secret"');
  const { frames } = reader.history({ user: 'bob', peer: '7', limit: 10 });
  assert.deepEqual(
    frames.map((frame) => [JSON.parse(frame).from, JSON.parse(frame).message]),
    [
      ['7', '12'],
      ['bob', 'blob'],
    ],
  );
  assert.deepEqual(db.prepare('SELECT sender, receiver, message FROM messages WHERE id = 3').raw().get(), [
    '',
    '',
    '',
  ]);
  db.close();
});

for (const [key, columns] of [
  ['the key', 'id INTEGER PRIMARY KEY'],
  ['no key', 'id INT'],
] as const) {
  test(`M2 migration: ids that are ${key} are kept, whatever is missing between them, up to the last that leaves room`, async () => {
    const path = newPath();
    const old = new Database(path);
    old.exec(`
      CREATE TABLE messages (${columns}, sender TEXT DEFAULT 'ann', receiver TEXT DEFAULT 'bob', message TEXT, timestamp DATETIME);
      INSERT INTO messages (id, message) VALUES (900, 'b'), (3, 'a'), (${2 ** 52 - 1}, 'c');`);
    old.close();
    const db = openForWriting(path);
    await migrate(db, fakeHash);
    assert.deepEqual(db.prepare('SELECT id, message FROM messages ORDER BY id').raw().all(), [
      [3, 'a'],
      [900, 'b'],
      [2 ** 52 - 1, 'c'],
    ]);
    db.close();
  });
}

test('migration: a user who is added by the old app meanwhile is told of, and not lost', async () => {
  const path = seed(true, { users: 1, messages: 2 });
  const old = new Database(path);
  const db = openForWriting(path);
  const adding = migrate(db, async (password) => {
    old.exec("INSERT INTO users VALUES ('late', 'pw')");
    return `#${password.length}`;
  });
  await assert.rejects(adding, { name: 'DatabaseError', message: /being written by another program/ });
  old.close();
  assert.deepEqual((await migrate(db, fakeHash)).imported, { users: 2, usersWithoutId: 0, messages: 2 });
  db.close();
});

test('migration: while another program reads, the wiping of passwords is refused, and made good afterwards', async () => {
  const path = seed(true, { messages: 200 });
  const db = openForWriting(path);
  db.pragma('busy_timeout = 0');
  const other = new Database(path);
  const reading = migrate(db, async (password) => {
    if (!other.inTransaction) other.exec('BEGIN; SELECT count(*) FROM users');
    return `#${password.length}`;
  });
  await assert.rejects(reading, { name: 'DatabaseError', message: /open in another program/ });
  other.close();
  await migrate(db, fakeHash);
  assert.equal(holds(path, MARK), false);
  assert.equal(db.prepare('SELECT count(*) FROM messages').pluck().get(), 200);
  db.close();
});

test('migration: a file from which passwords were wiped is not rewritten at each start', async () => {
  const path = seed(true, { messages: 5 });
  assert.ok(await dieBefore(path, /^VACUUM/));
  assert.equal(await dieBefore(path, /^VACUUM/), undefined);
});

for (const [what, ids] of [
  ['below 1', ['-5', '0', '7']],
  ['that JavaScript can not tell apart', ['1', '9007199254740993', '9223372036854775807']],
  ['that leave no room for new ones', ['1', '7', `${2 ** 52}`]],
] as const) {
  test(`R1, M2 migration: ids ${what} are numbered anew, in their order; all are caught up on`, async () => {
    const path = seed(true, { users: 2, messages: 0 });
    const old = new Database(path);
    for (const id of ids)
      old.exec(
        `INSERT INTO messages (id, sender, receiver, message) VALUES (${id}, 'user0', 'user1', '${id}')`,
      );
    old.close();
    const db = openForWriting(path);
    await migrate(db, fakeHash);
    const { frames, upto } = new Reader(db).catchUp({ user: 'user1', since: 0 });
    assert.deepEqual(
      frames.map((frame) => [JSON.parse(frame).id, JSON.parse(frame).message]),
      ids.map((id, i) => [i + 1, id]),
    );
    assert.equal(upto, 3);
    assert.equal(new Reader(db).conversations({ user: 'user1', limit: 1 }).conversations[0]?.read, 3);
    db.close();
  });
}

for (const [what, columns, rows] of [
  ['without one', 'id INTEGER', "(1, '1'), (2, '2'), (NULL, '3'), (NULL, '4')"],
  ['given twice', 'id INT', "(1, '1'), (1, '2'), (2, '3'), (2, '4')"],
  ['that are text', 'id TEXT', "('8', '1'), ('9', '2'), ('10', '3'), ('5000000000000000', '4')"],
] as const) {
  test(`migration: messages of a table whose ids are no key, some ${what}, are all taken over, as they were added`, async () => {
    const path = newPath();
    const old = new Database(path);
    old.exec(`
      CREATE TABLE messages (${columns}, sender TEXT DEFAULT 'ann', receiver TEXT DEFAULT 'bob', message TEXT, timestamp DATETIME);
      INSERT INTO messages (id, message) VALUES ${rows};`);
    old.close();
    const db = openForWriting(path);
    assert.equal((await migrate(db, fakeHash)).imported?.messages, 4);
    assert.deepEqual(db.prepare('SELECT id, message FROM messages ORDER BY id').raw().all(), [
      [1, '1'],
      [2, '2'],
      [3, '3'],
      [4, '4'],
    ]);
    db.close();
  });
}

test('migration: old tables with foreign keys between them are taken over', async () => {
  const path = newPath();
  const old = new Database(path);
  old.exec(`
    CREATE TABLE users (user_id TEXT PRIMARY KEY, password TEXT);
    CREATE TABLE messages (id INTEGER PRIMARY KEY, sender TEXT REFERENCES users, receiver TEXT REFERENCES users, message TEXT, timestamp DATETIME);
    INSERT INTO users VALUES ('ann', 'a'), ('bob', 'b');
    INSERT INTO messages (sender, receiver, message) VALUES ('ann', 'bob', 'hi');`);
  old.close();
  const db = openForWriting(path);
  assert.deepEqual((await migrate(db, fakeHash)).imported, { users: 2, usersWithoutId: 0, messages: 1 });
  db.close();
});

test('migration: old tables WITHOUT ROWID are taken over', async () => {
  const path = newPath();
  const old = new Database(path);
  old.exec(`
    CREATE TABLE users (user_id TEXT PRIMARY KEY, password TEXT) WITHOUT ROWID;
    CREATE TABLE messages (id INTEGER PRIMARY KEY, sender TEXT, receiver TEXT, message TEXT, timestamp DATETIME) WITHOUT ROWID;
    INSERT INTO users VALUES ('ann', 'a'), ('bob', 'b');
    INSERT INTO messages (id, sender, receiver, message) VALUES (7, 'ann', 'bob', '2'), (5, 'bob', 'ann', '1');`);
  old.close();
  const db = openForWriting(path, refuseForeign);
  assert.deepEqual((await migrate(db, fakeHash)).imported, { users: 2, usersWithoutId: 0, messages: 2 });
  assert.deepEqual(db.prepare('SELECT id, message FROM messages ORDER BY id').raw().all(), [
    [5, '1'],
    [7, '2'],
  ]);
  db.close();
});

test('migration: views, triggers and tables that the old file has beside the two go on to work on the new ones', async () => {
  const path = seed(true, { users: 2, messages: 3 });
  const old = new Database(path);
  old.exec(`
    CREATE TABLE profiles (user_id TEXT REFERENCES users (user_id), name TEXT);
    CREATE TABLE removals (message TEXT);
    CREATE TRIGGER remove AFTER INSERT ON removals BEGIN DELETE FROM messages WHERE message = new.message; END;
    CREATE VIEW texts AS SELECT message FROM messages;
    CREATE VIEW broken AS SELECT x FROM nowhere;
    CREATE TRIGGER log AFTER INSERT ON messages BEGIN INSERT INTO removals VALUES ('as in the README, it is gone'); END;`);
  old.close();
  const db = openForWriting(path, refuseForeign);
  await migrate(db, fakeHash);
  db.close();
  const again = new Database(path);
  again.pragma('foreign_keys = ON');
  const texts = again.prepare('SELECT message FROM texts').pluck();
  assert.deepEqual(texts.all(), ['message 0', 'message 1', 'message 2']);
  again.exec("INSERT INTO profiles VALUES ('user0', 'Ann'); INSERT INTO removals VALUES ('message 1')");
  assert.deepEqual(texts.all(), ['message 0', 'message 2']);
  const triggers = again.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").pluck();
  assert.deepEqual(triggers.all(), ['remove'], 'those of the old tables themselves would run in each commit');
  again.close();
});

const strange: readonly (readonly [what: string, sql: string])[] = [
  [
    'a newer schema of ours',
    `PRAGMA application_id = 0x5061726c; PRAGMA user_version = ${SCHEMA_VERSION + 1}; CREATE TABLE store (x)`,
  ],
  ["another program's schema", 'PRAGMA application_id = 7; PRAGMA user_version = 1; CREATE TABLE store (x)'],
  ["another program's schema without an application id", 'PRAGMA user_version = 1; CREATE TABLE things (x)'],
  ["another program's file without a version", 'PRAGMA application_id = 7; CREATE TABLE things (x)'],
  ['tables of another program only', 'CREATE TABLE things (x); INSERT INTO things VALUES (1)'],
  ['users with another column', 'CREATE TABLE users (user_id TEXT PRIMARY KEY, password TEXT, email TEXT)'],
  ['users without passwords', 'CREATE TABLE users (user_id TEXT PRIMARY KEY)'],
  ['messages of another shape', 'CREATE TABLE messages (id INTEGER PRIMARY KEY, body TEXT)'],
  [
    'users that are a view',
    'CREATE TABLE people (user_id, password); CREATE VIEW users AS SELECT * FROM people',
  ],
  [
    'messages that nothing orders',
    'CREATE TABLE messages (sender, receiver, message, timestamp, PRIMARY KEY (sender, timestamp)) WITHOUT ROWID',
  ],
  [
    'messages whose ids, the only order there is, are no numbers',
    "CREATE TABLE messages (id TEXT PRIMARY KEY, sender, receiver, message, timestamp) WITHOUT ROWID; INSERT INTO messages (id) VALUES ('a')",
  ],
  ['messages without a time', 'CREATE TABLE messages (sender TEXT, receiver TEXT, message TEXT)'],
];
const ofTheApp =
  'CREATE TABLE users (user_id, password); CREATE TABLE messages (sender, receiver, message, timestamp);';
/** Beside the old tables, names that the migration needs: it failed half-way, with SQLite's words, once all passwords were hashed. */
const taken: typeof strange = [
  ["a table 'Members'", `${ofTheApp} CREATE TABLE Members (x)`],
  // SQLite renames no views and no indexes.
  [
    "a view 'store': Parley needs such a name for its own. Rename a table, and drop a view or an index",
    `${ofTheApp} CREATE VIEW store AS SELECT 1`,
  ],
  [
    "an index 'messages_by_conversation'",
    `${ofTheApp} CREATE INDEX messages_by_conversation ON messages (sender)`,
  ],
  ["a table 'seed_users'", `${ofTheApp} CREATE TABLE seed_users (x)`],
];
for (const [what, sql] of [...strange, ...taken]) {
  test(`migration: a file with ${what} is refused, and not one byte of it is changed`, async () => {
    const path = newPath();
    const made = new Database(path);
    made.exec(sql);
    made.close();
    const before = readFileSync(path);
    const open = async (): Promise<void> => {
      const db = openForWriting(path, refuseForeign);
      try {
        await migrate(db, fakeHash);
      } finally {
        db.close();
      }
    };
    const told = taken.some(([name]) => name === what) ? what : path;
    await assert.rejects(open, (error) => error instanceof DatabaseError && error.message.includes(told));
    assert.ok(readFileSync(path).equals(before));
  });
}

test('migration: a database of the first schema is taken over as it is, and its ids go on', async () => {
  const path = newPath();
  const old = openForWriting(path);
  old.exec(readFileSync(`${import.meta.dirname}/../../src/db/migrations/000001-initial.sql`, 'utf8'));
  old.exec(`PRAGMA application_id = 0x5061726c; PRAGMA user_version = 1;
    INSERT INTO store (one, database_id, epoch, token_secret) VALUES (1, 'd', 'e', 's');
    INSERT INTO users (user_id, password) VALUES ('ann', 'x');
    INSERT INTO conversations VALUES (1, 'ann', 'ann');
    INSERT INTO messages (id, conversation_id, sender, receiver, message) VALUES (41, 1, 'ann', 'ann', 'hi')`);
  assert.deepEqual(await migrate(old, fakeHash), { from: 1, to: SCHEMA_VERSION });
  old.close();
  const ledger = await openLedger(path);
  assert.equal(ledger.identity.epoch, 'e');
  assert.equal(commit(ledger, [send('ann', 'ann', '2', 'c')]).committed.messages[0]?.id, 42);
  ledger.close();
});

test('open: what is no database, or nowhere, is one sentence', () => {
  const path = newPath();
  copyFileSync(import.meta.filename, path);
  assert.throws(() => openForWriting(path), { name: 'DatabaseError', message: /not an SQLite database/ });
  assert.throws(() => openForWriting(`${folder}/none/chat.db`), {
    name: 'DatabaseError',
    message: /does not exist/,
  });
  assert.throws(() => openForReading(newPath()), { name: 'DatabaseError' });
});

test('open: a writer has WAL and synchronous=FULL, a reader can not write, and maps nothing', async () => {
  const path = newPath();
  const db = openForWriting(path);
  await migrate(db, fakeHash);
  assert.equal(db.pragma('journal_mode', { simple: true }), 'wal');
  assert.equal(db.pragma('synchronous', { simple: true }), 2);
  const reader = openForReading(path);
  assert.throws(() => reader.exec("INSERT INTO users VALUES ('x', 'y', 0)"), /readonly/);
  assert.equal(reader.pragma('mmap_size', { simple: true }), 0);
  reader.close();
  db.close();
});

for (const [what, asked, done, says] of [
  ['journal_mode=WAL', 'journal_mode = WAL', 'journal_mode = DELETE', /says delete, 2/],
  ['synchronous=FULL', 'synchronous = FULL', 'synchronous = NORMAL', /says wal, 1/],
] as const) {
  test(`G1 open: a database that does not take ${what}, and says nothing, is refused`, (t) => {
    const real = Database.prototype.pragma;
    t.mock.method(
      Database.prototype,
      'pragma',
      function (this: Database.Database, source: string, options?: Database.PragmaOptions) {
        return real.call(this, source === asked ? done : source, options);
      },
    );
    assert.throws(() => openForWriting(newPath()), { name: 'DatabaseError', message: says });
  });
}
