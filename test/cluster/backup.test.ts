import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import Database from 'better-sqlite3';
import { connect, newUser } from '../support/client.ts';
import { queryDatabase } from '../support/database.ts';
import { freePort } from '../support/ports.ts';
import { startNode, temporaryFolder } from '../support/server.ts';

const folder = temporaryFolder({ after });
const ROOT = path.join(import.meta.dirname, '../..');

/** Runs one of the commands of package.json as npm would. */
function run(
  command: 'backup' | 'restore',
  file: string,
  env: Record<string, string>,
): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['src/main.ts', command, file], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr };
}

test('restore drill: back-up under load, delete, restore: what was acknowledged before is there, clients ahead resync by epoch', async (t) => {
  const env = { DATABASE_PATH: `${folder}/chat.db`, ADMIN_PORT: String(await freePort()) };
  const first = await startNode(t, env);
  const token = await newUser(first.url, 'alice');
  const socket = await connect(first.url, 'alice', token);
  const epoch = String((await socket.type('connected'))['epoch']);
  let sent = 0;
  const load = setInterval(() => {
    for (let i = 0; i < 10; i++) socket.send({ type: 'message', to: 'alice', message: `message ${sent++}` });
  }, 5);
  t.after(() => clearInterval(load));
  await socket.type('message', 500);

  const acknowledged = socket.messages.map(({ id }) => id);
  const file = `${folder}/backup.db`;
  const backedUp = run('backup', file, env);
  assert.equal(backedUp.status, 0, backedUp.output);
  assert.equal(run('backup', file, env).status, 1, 'a file that is there is not written over');
  assert.equal(run('restore', file, env).status, 1, 'not while the node runs');
  await socket.type('message', acknowledged.length + 200);
  clearInterval(load);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const newest = socket.messages.at(-1)?.id as number;
  first.node.signal('SIGTERM');
  await first.node.exited;

  const restored = run('restore', file, env);
  assert.equal(restored.status, 0, restored.output);
  const db = new Database(env.DATABASE_PATH, { readonly: true });
  assert.equal(db.pragma('integrity_check', { simple: true }), 'ok');
  db.close();
  const ids = new Set(
    queryDatabase<{ id: number }>(env.DATABASE_PATH, 'SELECT id FROM messages').map(({ id }) => id),
  );
  assert.ok(
    acknowledged.every((id) => ids.has(id)),
    'everything acknowledged before the back-up is there',
  );
  assert.ok(!ids.has(newest), 'the drill restores an older state');

  const second = await startNode(t, env);
  const resumed = await connect(second.url, 'alice', token, { since: newest, epoch });
  const connected = await resumed.type('connected');
  assert.equal(connected['resync'], true);
  assert.notEqual(connected['epoch'], epoch);
  resumed.send({ type: 'message', to: 'alice', message: 'after the restore' });
  await resumed.next((frame) => frame['message'] === 'after the restore');
  const fresh = await connect(second.url, 'alice', token, { since: newest });
  assert.equal(
    (await fresh.type('connected'))['resync'],
    true,
    'ahead of the database is told without an epoch, too',
  );
});

test('restore refuses what is no back-up, and leaves the database as it is', async () => {
  const env = { DATABASE_PATH: `${folder}/none.db` };
  const { status, output } = run('restore', path.join(ROOT, 'package.json'), env);
  assert.equal(status, 1);
  assert.match(output, /^parley: .*not an SQLite database/);
  assert.ok(!existsSync(env.DATABASE_PATH));
});
