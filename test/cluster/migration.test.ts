import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, test } from 'node:test';
import Database from 'better-sqlite3';
import { call } from '../support/client.ts';
import { startNode, temporaryFolder } from '../support/server.ts';

const USERS = 20;
const MESSAGES = 10_000;
const folder = temporaryFolder({ after });

/** A database as the chat app before Parley made it. */
function createSeedDatabase(path: string, withId: boolean): void {
  const db = new Database(path);
  db.exec(`
    CREATE TABLE users (user_id TEXT PRIMARY KEY, password TEXT);
    CREATE TABLE messages (${withId ? 'id INTEGER PRIMARY KEY AUTOINCREMENT, ' : ''}sender TEXT, receiver TEXT, message TEXT,
      timestamp DATETIME DEFAULT CURRENT_TIMESTAMP);
  `);
  db.transaction(() => {
    for (let i = 0; i < USERS; i++)
      db.prepare('INSERT INTO users VALUES (?, ?)').run(`user${i}`, `clear-text-password-${i}`);
    const insert = db.prepare(
      'INSERT INTO messages (sender, receiver, message, timestamp) VALUES (?, ?, ?, ?)',
    );
    for (let i = 0; i < MESSAGES; i++) {
      // Some to people who never registered: the old server kept those, too.
      const known = i % 97 === 0 ? 'a ghost' : `user${(i * 7) % USERS}`;
      // And to nobody, where no one was chosen.
      const receiver = i % 1009 === 0 ? '' : known;
      insert.run(
        `user${i % USERS}`,
        receiver,
        `message ${i}`,
        new Date(1.68e12 + i * 1000).toISOString().slice(0, 19).replace('T', ' '),
      );
    }
  })();
  db.close();
}

const SEED_QUERY =
  'SELECT sender, receiver, message, timestamp FROM messages WHERE sender = ? OR receiver = ? ORDER BY timestamp';

for (const withId of [true, false]) {
  test(`a database of the old chat app ${withId ? 'with' : 'without'} message ids: nothing lost, order kept, no clear-text password left, people log in as before`, async (t) => {
    const path = `${folder}/seed-${withId}.db`;
    createSeedDatabase(path, withId);
    const before = new Database(path);
    const rows = before.prepare(SEED_QUERY).all('user3', 'user3');
    before.close();

    const { url } = await startNode(t, { DATABASE_PATH: path, AUTH: 'open' });
    for (const i of [0, USERS - 1]) {
      const { status, body } = await call(url, 'POST', '/login', {
        body: { user_id: `user${i}`, password: `clear-text-password-${i}` },
      });
      assert.deepEqual([status, body], [200, { message: 'Login successful.' }]);
    }
    const wrong = await call(url, 'POST', '/login', {
      body: { user_id: 'user0', password: 'clear-text-password-1' },
    });
    assert.equal(wrong.status, 401);

    const db = new Database(path, { readonly: true });
    t.after(() => db.close());
    assert.equal(db.prepare('SELECT count(*) FROM messages').pluck().get(), MESSAGES);
    assert.equal(db.prepare('SELECT count(*) FROM users').pluck().get(), USERS);
    assert.deepEqual(
      db.prepare(SEED_QUERY).all('user3', 'user3'),
      rows,
      "the old app's own query answers the same",
    );
    const texts = db.prepare('SELECT message FROM messages ORDER BY id').pluck().all();
    assert.deepEqual(
      texts,
      Array.from({ length: MESSAGES }, (_, i) => `message ${i}`),
    );

    const { body } = await call(url, 'POST', '/get-messages', { body: { user_id: 'user3' } });
    const conversations = Object.values(body['conversations'] as Record<string, unknown[]>);
    assert.equal(conversations.flat().length, rows.length);

    const list = await call(url, 'GET', '/conversations?user_id=user3');
    const summaries = list.body['conversations'] as { user: string; last_message: unknown }[];
    for (const name of ['', 'a ghost', 'user1']) {
      const summary = summaries.find(({ user }) => user === name);
      const page = await call(url, 'GET', `/history?user_id=user3&with=${encodeURIComponent(name)}`);
      assert.equal(page.status, 200, `H8, H9: what is in the list can be read: '${name}'`);
      assert.deepEqual((page.body['messages'] as unknown[]).at(-1), summary?.last_message);
    }

    for (const file of [path, `${path}-wal`].filter((file) => existsSync(file))) {
      const found = execFileSync('sh', ['-c', `strings -n 8 "${file}" | grep -c clear-text-password || true`])
        .toString()
        .trim();
      assert.equal(found, '0', `${file} holds no old password`);
    }
  });
}
