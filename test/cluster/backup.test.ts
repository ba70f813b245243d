import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { openForWriting } from '../../src/db/open.ts';
import { call, connect, logIn, newUser } from '../support/client.ts';
import { createDatabase, queryDatabase } from '../support/database.ts';
import { freePort } from '../support/ports.ts';
import { signalPid } from '../support/processes.ts';
import { ROOT } from '../support/root.ts';
import { startNode, temporaryFolder } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const folder = temporaryFolder({ after });

/** Runs one of the commands of package.json as npm would. */
function run(
  command: 'backup' | 'restore',
  file: string,
  env: Record<string, string>,
  ...more: string[]
): Promise<{ status: number; output: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['src/main.ts', command, file, ...more],
      { cwd: ROOT, env: { PATH: process.env['PATH'] ?? '', ...env } },
      (error, stdout, stderr) => resolve({ status: Number(error?.code ?? 0), output: stdout + stderr }),
    );
  });
}

/** Makes a database as a server leaves it that was killed: of its users, 500 are in the write-ahead log only. */
async function leaveAsKilled(name: string): Promise<{ file: string; backup: string }> {
  const [file, live, backup] = [`${folder}/${name}.db`, `${folder}/${name}.live`, `${folder}/${name}.backup`];
  await createDatabase(live, ['alice', 'bob']);
  const db = openForWriting(live);
  await db.backup(backup);
  const insert = db.prepare("INSERT INTO users (user_id, password) VALUES (?, '-')");
  db.transaction(() => {
    for (let i = 0; i < 500; i++) insert.run(`user ${i}`);
  })();
  copyFileSync(live, file);
  copyFileSync(`${live}-wal`, `${file}-wal`);
  copyFileSync(`${live}-shm`, `${file}-shm`);
  db.close();
  return { file, backup };
}

/** The users in a database that is whole. */
function usersIn(file: string): number {
  const db = new Database(file, { fileMustExist: true });
  try {
    assert.equal(db.pragma('integrity_check', { simple: true }), 'ok');
    return db.prepare('SELECT count(*) FROM users').pluck().get() as number;
  } finally {
    db.close();
  }
}

const filesOf = (name: string): string[] =>
  readdirSync(folder).filter((file) => file.startsWith(`${name}.db`) && !file.endsWith('.lock'));
/** What a restore has set aside of a database, the log left out. */
const asideOf = (name: string): string =>
  `${folder}/${filesOf(name).find((file) => /\.before-restore-[^.]*Z$/.test(file))}`;

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
  const backedUp = await run('backup', file, env);
  assert.equal(backedUp.status, 0, backedUp.output);
  assert.equal((await run('backup', file, env)).status, 1, 'a file that is there is not written over');
  writeFileSync(`${folder}/other.db-wal`, 'of a database that was moved away without it');
  const beside = await run('backup', `${folder}/other.db`, env);
  assert.match(beside.output, /other\.db-wal exists already/, 'it would be replayed onto the back-up');
  assert.equal((await run('restore', file, env)).status, 1, 'not while the node runs');
  await socket.type('message', acknowledged.length + 200);
  clearInterval(load);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const newest = socket.messages.at(-1)?.id as number;
  first.node.signal('SIGTERM');
  await first.node.exited;

  const restored = await run('restore', file, env);
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
  const ended = await call(second.url, 'GET', '/conversations', { token });
  assert.deepEqual([ended.status, ended.body['code']], [401, 'token_revoked'], 'everybody logs in again');
  const again = await logIn(second.url, 'alice');
  const resumed = await connect(second.url, 'alice', again, { since: newest, epoch });
  const connected = await resumed.type('connected');
  assert.equal(connected['resync'], true);
  assert.notEqual(connected['epoch'], epoch);
  resumed.send({ type: 'message', to: 'alice', message: 'after the restore' });
  await resumed.next((frame) => frame['message'] === 'after the restore');
  const fresh = await connect(second.url, 'alice', again, { since: newest });
  assert.equal(
    (await fresh.type('connected'))['resync'],
    true,
    'ahead of the database is told without an epoch, too',
  );
});

test('G9, A5 restore: tokens of the past that is undone stay ended, whatever is ended after it, and those of a restore before it', async (t) => {
  const env = { DATABASE_PATH: `${folder}/pasts.db`, ADMIN_PORT: String(await freePort()), WORKERS: '1' };
  const backup = `${folder}/pasts.backup`;
  const changePassword = async (url: string, token: string, from: string, to: string): Promise<string> => {
    const body = { current_password: from, new_password: to };
    return String((await call(url, 'POST', '/change-password', { token, body })).body['token']);
  };
  const first = await startNode(t, env);
  const tokens = [await newUser(first.url, 'alice')];
  assert.equal((await run('backup', backup, env)).status, 0);
  tokens.push(await changePassword(first.url, String(tokens.at(-1)), 'secret', 'second'));
  tokens.push(await changePassword(first.url, String(tokens.at(-1)), 'second', 'third'));
  let { node } = first;
  for (const past of ['first', 'second']) {
    node.signal('SIGTERM');
    await node.exited;
    const restored = await run('restore', backup, env);
    assert.equal(restored.status, 0, restored.output);
    const next = await startNode(t, env);
    ({ node } = next);
    const counting = async (): Promise<string[]> => {
      const answers = tokens.map((token) => call(next.url, 'GET', '/conversations', { token }));
      return (await Promise.all(answers)).flatMap(({ status }, i) => (status === 200 ? [`${i}`] : []));
    };
    assert.deepEqual(await counting(), [], `after the ${past} past`);
    const token = await logIn(next.url, 'alice');
    const changed = await changePassword(next.url, token, 'secret', 'fourth');
    assert.deepEqual(await counting(), [], 'after a change of password');
    const everywhere = { token: changed, body: { everywhere: true } };
    assert.equal((await call(next.url, 'POST', '/logout', everywhere)).status, 200);
    assert.deepEqual(await counting(), [], 'after a logout everywhere');
    tokens.push(token, changed, await logIn(next.url, 'alice', 'fourth'));
    assert.deepEqual(await counting(), [String(tokens.length - 1)], 'a new token counts');
  }
});

test('G9 files: a back-up, a restored database and what it replaced are closed to others, whatever they were; a group that was meant keeps its own', async (t) => {
  const env = { DATABASE_PATH: `${folder}/modes.db`, ADMIN_PORT: String(await freePort()), WORKERS: '1' };
  const backup = `${folder}/modes.backup`;
  const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);
  const { node } = await startNode(t, env);
  assert.equal((await run('backup', backup, env)).status, 0);
  assert.equal(modeOf(backup), '600');
  node.signal('SIGTERM');
  await node.exited;
  for (const [before, after] of [
    [0o644, '600'],
    [0o640, '640'],
  ] as const) {
    chmodSync(env.DATABASE_PATH, before);
    const { status, output } = await run('restore', backup, env);
    assert.equal(status, 0, output);
    assert.equal(modeOf(env.DATABASE_PATH), after);
    assert.equal(modeOf(/ was there is (\S+)/.exec(output)?.[1] as string), after);
  }
});

test('restore under a node whose writer can not open its damaged file: when that leads, the reader reads what was restored, too', async (t) => {
  const file = `${folder}/damaged-under.db`;
  const { node, url } = await startNode(t, { DATABASE_PATH: file, WORKERS: '1' });
  await newUser(url, 'alice');
  const backup = `${folder}/damaged-under.backup`;
  copyFileSync(file, backup);
  copyFileSync(`${file}-wal`, `${backup}-wal`);
  const [reader] = node.workers('reader');
  const damaged = openSync(file, 'r+');
  writeSync(damaged, Buffer.alloc(4_096, 7), 0, 4_096, 0);
  closeSync(damaged);
  truncateSync(`${file}-wal`);
  signalPid(node.workers('writer')[0] as number, 'SIGKILL');
  await node.waitForEvent('worker_failed');
  await waitFor(
    // Each try of the writer's has the lock for a moment.
    async () => (await run('restore', backup, { DATABASE_PATH: file })).status === 0,
    20_000,
    () => 'it was never restored',
  );
  await waitFor(
    () => node.events('leading').length === 2 && node.workers('reader').some((pid) => pid !== reader),
    20_000,
    () => `the reader is the one it was:\n${node.output}`,
  );
  let token = '';
  await waitFor(
    async () => {
      token = await logIn(url, 'alice').catch(() => '');
      return token !== '';
    },
    20_000,
    () => 'it does not answer',
  );
  const socket = await connect(url, 'alice', token, { since: 0 });
  const { epoch } = await socket.next((frame) => frame['type'] === 'connected');
  assert.equal(epoch, node.events('leading').at(-1)?.['epoch']);
  socket.close();
});

test('restore refuses what is no back-up, and leaves the database as it is', async () => {
  const env = { DATABASE_PATH: `${folder}/none.db` };
  const { status, output } = await run('restore', path.join(ROOT, 'package.json'), env);
  assert.equal(status, 1);
  assert.match(output, /^parley: .*not an SQLite database/);
  assert.ok(!existsSync(env.DATABASE_PATH));
});

test('restore puts aside the log of a database that was moved away without it: it is not replayed onto the restored one', async () => {
  const { file, backup } = await leaveAsKilled('moved');
  const broken = `${folder}/broken.db`;
  renameSync(file, broken);
  writeFileSync(`${file}-journal`, 'of something else');
  const { status, output } = await run('restore', backup, { DATABASE_PATH: file });
  assert.equal(status, 0, output);
  assert.equal(usersIn(file), 2);
  const kept = /; (\S+-wal) is of a database that was moved away/.exec(output)?.[1];
  assert.ok(kept, output);
  const kinds = filesOf('moved').map((name) => name.replace(/.*Z/, 'aside'));
  assert.deepEqual(kinds.sort(), ['aside-journal', 'aside-shm', 'aside-wal', 'moved.db']);
  renameSync(kept, `${broken}-wal`);
  assert.equal(usersIn(broken), 502, 'the log that was put aside is whole');
});

test('restore takes commits that are only in the log of the file it is given, as in what another restore has set aside', async () => {
  const { file, backup } = await leaveAsKilled('undone');
  const env = { DATABASE_PATH: file };
  const forward = await run('restore', backup, env);
  assert.equal(forward.status, 0, forward.output);
  assert.equal(usersIn(file), 2);
  const aside = asideOf('undone');
  assert.ok(statSync(`${aside}-wal`).size > 0, 'the old database keeps its log');
  const back = await run('restore', aside, env);
  assert.equal(back.status, 0, back.output);
  assert.equal(usersIn(file), 502);
  assert.ok(statSync(`${aside}-wal`).size > 0, 'what was restored is still there');
});

test('restore refuses to put a database in its own place, by whatever name, and touches nothing', async () => {
  const { file } = await leaveAsKilled('itself');
  const names = { linked: `${folder}/linked`, hard: `${folder}/hard` };
  symlinkSync(file, names.linked);
  linkSync(file, names.hard);
  const before = filesOf('itself').map((name) => [name, readFileSync(`${folder}/${name}`)]);
  for (const name of [file, path.relative(ROOT, file), names.linked, names.hard]) {
    const { status, output } = await run('restore', name, { DATABASE_PATH: file });
    assert.equal(status, 1, output);
    assert.match(output, /^parley: \S+ is the database \S+ itself\. Nothing was changed: .*\n$/);
    assert.deepEqual(
      filesOf('itself').map((name) => [name, readFileSync(`${folder}/${name}`)]),
      before,
    );
  }
});

test('restore behind a link: the log beside the file itself is set aside with it', async () => {
  const { file, backup } = await leaveAsKilled('behind');
  const link = `${folder}/link-to-behind.db`;
  symlinkSync(file, link);
  const { status, output } = await run('restore', backup, { DATABASE_PATH: link });
  assert.equal(status, 0, output);
  assert.equal(usersIn(link), 2);
  assert.equal(usersIn(asideOf('behind')), 502);
});

test('restore refuses a back-up that is damaged, cut off or of another program, and leaves the database as it is', async () => {
  const { file, backup } = await leaveAsKilled('stays');
  const before = filesOf('stays');
  const [damaged, short, foreign] = [`${folder}/damaged`, `${folder}/short`, `${folder}/foreign`];
  const bytes = readFileSync(backup);
  writeFileSync(damaged, bytes.fill(0xa5, 5 * 4096, 9 * 4096));
  copyFileSync(backup, short);
  truncateSync(short, 6 * 4096);
  const other = new Database(foreign);
  other.exec('CREATE TABLE notes (text)');
  other.pragma(
    `user_version = ${queryDatabase<{ user_version: number }>(backup, 'PRAGMA user_version')[0]?.user_version}`,
  );
  other.close();
  for (const wrong of [damaged, short, foreign]) {
    const { status, output } = await run('restore', wrong, { DATABASE_PATH: file });
    assert.equal(status, 1, output);
    assert.match(output, /^parley: .*\n$/);
    assert.ok(output.includes(wrong), output);
    assert.deepEqual(filesOf('stays'), before);
  }
  assert.equal(usersIn(file), 502);
});

test('a back-up whose writer is killed is answered, and can be made again under the same name', async (t) => {
  const port = await freePort();
  const { node } = await startNode(t, {
    DATABASE_PATH: `${folder}/ended.db`,
    WORKERS: '1',
    ADMIN_PORT: String(port),
  });
  const file = `${folder}/ended.backup`;
  const ask = async () => {
    const response = await fetch(`http://127.0.0.1:${port}/backup?file=${file}`, {
      method: 'POST',
      signal: AbortSignal.timeout(20_000),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const [writer] = node.workers('writer') as [number];
  signalPid(writer, 'SIGSTOP');
  const first = ask();
  await sleep(300);
  signalPid(writer, 'SIGKILL');
  const answer = await first;
  assert.equal(answer.status, 409);
  assert.match(String(answer.body['error']), /the writer ended before .*: ask again/);
  // Asked before there is another writer, too.
  const between = await ask();
  assert.equal(between.status, 409);
  assert.match(String(between.body['error']), /the writer is just starting/);
  assert.ok(!existsSync(file), 'nothing has the name of a back-up before it is one');
  // As a writer leaves it that was killed while it copied.
  writeFileSync(`${file}.partial`, 'half a database');
  writeFileSync(`${file}.partial-journal`, 'and its journal');
  let again = between;
  await waitFor(
    async () => {
      again = await ask();
      return !/just starting/.test(String(again.body['error']));
    },
    20_000,
    () => `no writer came: ${node.output}`,
  );
  assert.equal(again.status, 200, JSON.stringify(again.body));
  assert.equal(usersIn(file), 0);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('ended.backup')),
    ['ended.backup'],
  );
});

test("backup names the database it saved, and refuses another server's than that of DATABASE_PATH", async (t) => {
  const port = String(await freePort());
  const mine = `${folder}/mine.db`;
  await startNode(t, { DATABASE_PATH: mine, WORKERS: '1', ADMIN_PORT: port });
  const file = `${folder}/mine.backup`;
  const wrong = await run('backup', file, { ADMIN_PORT: port, DATABASE_PATH: `${folder}/other.db` });
  assert.equal(wrong.status, 1, wrong.output);
  assert.match(wrong.output, /this server writes \S+\/mine\.db, not \S+\/other\.db: set ADMIN_PORT/);
  assert.ok(!existsSync(file));
  symlinkSync(mine, `${folder}/mine-linked.db`);
  const same = [undefined, '', mine, path.relative(ROOT, mine), `${folder}/mine-linked.db`];
  for (const [i, name] of same.entries()) {
    const made = await run('backup', `${file}-${i}`, {
      ADMIN_PORT: port,
      ...(name !== undefined && { DATABASE_PATH: name }),
    });
    assert.equal(made.status, 0, made.output);
    assert.match(made.output, /\/mine\.backup-\d: \d+ pages of \S+\/mine\.db\n$/);
    assert.equal(usersIn(`${file}-${i}`), 0);
  }
});

test('addresses may be of IPv6: backup finds the server, and the start line has a URL', async (t) => {
  const env = { ADMIN_HOST: '::1', ADMIN_PORT: String(await freePort()), DATABASE_PATH: `${folder}/six.db` };
  const { node, url } = await startNode(t, { ...env, HOST: '::1', WORKERS: '1' });
  assert.match(url, /^http:\/\/\[::1\]:\d+$/, node.output);
  const made = await run('backup', `${folder}/six.backup`, env);
  assert.equal(made.status, 0, made.output);
  assert.equal(usersIn(`${folder}/six.backup`), 0);
});

test('backup says what it met at ADMIN_PORT: nobody, a server that ended meanwhile, another program', async (t) => {
  const ask = async (port: number): Promise<string> => {
    const { status, output } = await run('backup', `${folder}/never`, { ADMIN_PORT: String(port) });
    assert.equal(status, 1, output);
    return output;
  };
  assert.match(
    await ask(await freePort()),
    /^parley: no Parley answers at port \d+ of 127\.0\.0\.1 \(ADMIN_PORT, ADMIN_HOST\): .*\n$/,
  );
  const met = async (listener: http.RequestListener): Promise<string> => {
    const server = http.createServer(listener);
    t.after(() => server.close());
    const port = await freePort();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return ask(port);
  };
  const ended = /^parley: the server at port \d+ of \S+ \(.*\) ended before the back-up was whole .*\n$/;
  assert.match(await met(({ socket }) => socket.destroy()), ended);
  // In the middle of its answer, as where a tunnel breaks.
  const breaksOff: http.RequestListener = ({ socket }, response) => {
    response.writeHead(200, { 'Content-Length': 100 }).write('{"file":');
    setTimeout(() => socket.resetAndDestroy(), 200);
  };
  assert.match(await met(breaksOff), ended);
  const notAdmin = /^parley: what answers at port \d+ of \S+ \(.*\) is no Parley's admin port\.\n$/;
  assert.match(await met((_, response) => response.end('hello')), notAdmin);
  // As the public port of a Parley does.
  assert.match(await met((_, response) => response.writeHead(404).end('{"error":"nothing"}')), notAdmin);
});

test('a command that is given more than a file does nothing: the path of one has a space, and no quotes', async () => {
  for (const command of ['backup', 'restore'] as const) {
    const { status, output } = await run(command, `${folder}/one`, {}, 'two');
    assert.equal(status, 1);
    assert.match(output, /^parley: (backup|restore) takes one file: .* quotes\.\n$/);
  }
});
