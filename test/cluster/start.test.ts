import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { after, test } from 'node:test';
import { freePort } from '../support/ports.ts';
import { descendants, isAlive, signalPid, titleOf } from '../support/processes.ts';
import { rawRequest, upgradeLines } from '../support/raw.ts';
import { ROOT } from '../support/root.ts';
import { bareEnvironment, startNode, TestNode, temporaryFolder, waitReady } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const folder = temporaryFolder({ after });

/** Starts a node that should give up, and answers with what it said on stderr. */
async function refusedStart(env: Record<string, string>): Promise<string[]> {
  const node = new TestNode({ LOG_LEVEL: 'silent', ...env });
  const { code } = await node.exited;
  assert.equal(code, 1, node.output);
  assert.ok(!/\n\s+at /.test(node.output), `no stack: ${node.output}`);
  return node.output.trim().split('\n');
}

test('the start line says address, mode, workers, database and auth; G9: SIGUSR1 opens no debugger', async (t) => {
  const { node, url } = await startNode(t, { DATABASE_PATH: `${folder}/start.db`, WORKERS: '2' });
  const [line] = node.events('started');
  assert.equal(String(line?.['url']).replace('localhost', '127.0.0.1'), url);
  assert.deepEqual(
    [
      line?.['mode'],
      line?.['gateways'],
      line?.['readers'],
      line?.['writer'],
      line?.['database'],
      line?.['auth'],
    ],
    ['embedded', 2, 1, 'leader', `${folder}/start.db`, 'required'],
  );
  for (const pid of [node.pid, ...node.workers('')]) signalPid(pid, 'SIGUSR1');
  node.signal('SIGTERM');
  assert.deepEqual(await node.exited, { code: 0, signal: null }, node.output);
  assert.doesNotMatch(node.output, /debugger/i);
});

test('AUTH=open binds to loopback and says loudly what it means', async (t) => {
  const { node, url } = await startNode(t, { DATABASE_PATH: `${folder}/open.db`, AUTH: 'open' });
  assert.match(String(node.events('started')[0]?.['url']), /^http:\/\/127\.0\.0\.1:/);
  assert.equal(node.events('auth_open').length, 1);
  const ready = (await (await fetch(`${url}/readyz`)).json()) as Record<string, unknown>;
  assert.equal(ready['auth'], 'open');
  assert.match(String(ready['warning']), /anybody .* any web page/);
  assert.match(String(node.events('auth_open')[0]?.['msg']), /any web page/);
});

test('G9 rebinding: AUTH=open without HOST answers to local names only, upgrades too; with HOST it answers to any', async (t) => {
  const { url } = await startNode(t, { DATABASE_PATH: `${folder}/names.db`, AUTH: 'open', WORKERS: '1' });
  const { url: chosen } = await startNode(t, {
    DATABASE_PATH: `${folder}/chosen.db`,
    AUTH: 'open',
    HOST: '127.0.0.1',
    WORKERS: '1',
  });
  const ask = (to: string, host: string, path = '/livez') =>
    rawRequest(to, [`GET ${path} HTTP/1.1`, `Host: ${host}`, 'Connection: close', '', '']);
  const upgrade = (to: string, host: string) => rawRequest(to, upgradeLines({ Host: host }), 1_000);
  for (const host of ['localhost:1', '127.0.0.1', '[::1]:8888']) {
    assert.equal((await ask(url, host)).status, 200, host);
    assert.equal((await upgrade(url, host)).status, 101, host);
  }
  const refused = [
    await ask(url, 'evil.example:8888'),
    await ask(url, 'evil.example:8888', '/'),
    await upgrade(url, 'evil.example:8888'),
  ];
  for (const { status, body } of refused) {
    assert.deepEqual([status, JSON.parse(body).code], [403, 'origin_not_allowed']);
    assert.match(JSON.parse(body).error, /set HOST/);
  }
  assert.equal((await ask(chosen, 'evil.example:8888')).status, 200);
  assert.equal((await upgrade(chosen, 'evil.example:8888')).status, 101);
});

test('G9 files: what a node makes is its own user’s alone; a database that everybody could read is closed when it is opened', async (t) => {
  const own = temporaryFolder(t);
  const { node } = await startNode(t, { DATABASE_PATH: `${own}/chat.db`, WORKERS: '1' });
  const made = ['chat.db', 'chat.db-shm', 'chat.db-wal', 'chat.db.lock'].map((file) => `${own}/${file}`);
  const modes = () => made.map((file) => (statSync(file).mode & 0o777).toString(8));
  assert.deepEqual(modes(), ['600', '600', '600', '600']);
  await node.kill();
  for (const file of made) chmodSync(file, 0o644);
  const again = await startNode(t, { DATABASE_PATH: `${own}/chat.db`, WORKERS: '1' });
  assert.deepEqual(modes(), ['600', '600', '600', '600']);
  assert.equal(again.node.events('open_to_others').length, 0);
});

test('a port in use: one clear line', async (t) => {
  const port = await freePort();
  const blocker = createServer().listen(port, '0.0.0.0');
  t.after(() => blocker.close());
  const lines = await refusedStart({ PORT: String(port), DATABASE_PATH: `${folder}/port.db` });
  assert.equal(lines.length, 1);
  assert.match(String(lines[0]), new RegExp(`port ${port} .*is in use`));
});

test('a database that can not be opened: one clear line', async () => {
  const [missing, ...rest] = await refusedStart({ DATABASE_PATH: `${folder}/no/such/folder/chat.db` });
  assert.deepEqual(rest, []);
  assert.match(String(missing), /\/chat\.db can't be opened: the file or its folder does not exist/);
  writeFileSync(
    `${folder}/garbage.db`,
    'this is not a database, but long enough to have a header '.repeat(20),
  );
  const [garbage] = await refusedStart({ DATABASE_PATH: `${folder}/garbage.db` });
  assert.match(String(garbage), /not an SQLite database/);
  const [directory] = await refusedStart({ DATABASE_PATH: folder });
  assert.match(String(directory), new RegExp(`The database ${folder} can't be opened: it is a folder`));
});

test('Redis out of reach: one clear line, without the password', async () => {
  const port = await freePort();
  const lines = await refusedStart({
    REDIS_URL: `redis://user:hush@127.0.0.1:${port}`,
    DATABASE_PATH: `${folder}/redis.db`,
  });
  assert.equal(lines.length, 1);
  assert.match(
    String(lines[0]),
    /Redis at redis:\/\/user:\*\*\*@127\.0\.0\.1:\d+ can't be used: connect ECONNREFUSED/,
  );
});

test('bad settings: all of them at once, one line each', async () => {
  const lines = await refusedStart({ PORT: 'eighty', AUTH: 'maybe', WORKERS: '0', TOKEN_SECRET: 'ssh' });
  assert.equal(lines.length, 4, lines.join('\n'));
  for (const name of ['PORT', 'AUTH', 'WORKERS', 'TOKEN_SECRET'])
    assert.ok(
      lines.some((line) => line.startsWith(`parley: ${name}`)),
      name,
    );
  const [secret] = await refusedStart({ TOKEN_SECRET: 'ssh' });
  assert.match(String(secret), /TOKEN_SECRET must have at least 32 characters/);
  const [role] = await refusedStart({ ROLE: 'gateway' });
  assert.match(String(role), /needs REDIS_URL/);
});

test("an operators' address that was asked for and can not be had: one clear line", async () => {
  const lines = await refusedStart({
    ADMIN_HOST: 'no.such.host.invalid',
    DATABASE_PATH: `${folder}/admin.db`,
  });
  assert.equal(lines.length, 1, lines.join('\n'));
  assert.match(String(lines[0]), /ADMIN_HOST=no\.such\.host\.invalid is not an address of this machine/);
});

test('SIGTERM to npm, which ends its shell and no more, stops the node', async (t) => {
  const port = await freePort();
  const npm = spawn('npm', ['start'], {
    cwd: ROOT,
    env: {
      ...bareEnvironment(),
      PORT: String(port),
      ADMIN_PORT: '0',
      DATABASE_PATH: `${folder}/npm.db`,
    },
    stdio: 'ignore',
  });
  const family = (): number[] => [...descendants(npm.pid as number).keys()];
  let processes: number[] = [];
  t.after(() => {
    for (const pid of [...processes, ...family()]) signalPid(pid, 'SIGKILL');
  });
  await waitReady(`http://127.0.0.1:${port}`);
  processes = family();
  npm.kill('SIGTERM');
  await waitFor(
    () => !processes.some(isAlive),
    30_000,
    () => `alive: ${processes.filter(isAlive).map(titleOf)}`,
  );
});

test('a second node on the same database, without Redis: says why it does not start', async (t) => {
  const DATABASE_PATH = `${folder}/shared.db`;
  await startNode(t, { DATABASE_PATH });
  const lines = await refusedStart({ DATABASE_PATH });
  assert.equal(lines.length, 1);
  assert.match(String(lines[0]), /is in use by another Parley process/);
});
