import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { linkSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { sleep } from '../../src/base/clock.ts';
import { connect, newUser, TestSocket } from '../support/client.ts';
import { freePort } from '../support/ports.ts';
import { childrenOf, isAlive, signalPid, titleOf } from '../support/processes.ts';
import { RawConnection } from '../support/raw.ts';
import { startRedis } from '../support/redis.ts';
import { ROOT } from '../support/root.ts';
import { bareEnvironment, startNode, TestNode, temporaryFolder, waitReady } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const folder = temporaryFolder({ after });

/** A node of one gateway that a shell's command starts, with Node as `$0`. What it logs is not read. */
async function startByShell(t: TestContext, command: string, database: string) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const node = spawn('sh', ['-c', command, process.execPath], {
    cwd: ROOT,
    env: {
      ...bareEnvironment(),
      PORT: `${port}`,
      ADMIN_PORT: '0',
      DATABASE_PATH: `${folder}/${database}`,
      WORKERS: '1',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const workers = (): number[] => childrenOf(node.pid as number);
  t.after(() => {
    for (const pid of [...workers(), node.pid as number]) signalPid(pid, 'SIGKILL');
  });
  await waitReady(url);
  return { node, url, workers };
}

test('G8: a killed gateway worker is back in less than 2 s, a killed writer in less than 3 s, a killed reader too', async (t) => {
  const begun = Date.now();
  const { node, url } = await startNode(t, { DATABASE_PATH: `${folder}/kill.db`, WORKERS: '2' });
  const startMs = Date.now() - begun;
  const token = await newUser(url, 'alice');
  for (const { kind, count, withinMs } of [
    { kind: 'gateway', count: 2, withinMs: 2_000 },
    { kind: 'writer', count: 1, withinMs: 3_000 },
    { kind: 'reader', count: 1, withinMs: 3_000 },
  ]) {
    const tookMs: number[] = [];
    // A machine on which the whole node took long to start is busy; one that stands still for a moment does not three times.
    const boundMs = Math.max(withinMs, 2 * startMs);
    while (tookMs.length < 3 && !tookMs.some((ms) => ms < boundMs)) {
      const [victim] = node.workers(kind);
      const killed = Date.now();
      signalPid(victim as number, 'SIGKILL');
      await waitFor(
        () => !isAlive(victim as number) && node.workers(kind).length === count,
        20_000,
        () => `${kind} is not back`,
      );
      // Back means that it does its work: a message goes through all of them.
      const socket = await connect(url, 'alice', token, { since: 0 });
      socket.send({ type: 'message', to: 'alice', message: kind });
      await socket.next((frame) => frame['message'] === kind);
      tookMs.push(Date.now() - killed);
      socket.close();
    }
    t.diagnostic(`${kind}: back in ${tookMs} ms, the node started in ${startMs} ms`);
    assert.ok(Math.min(...tookMs) < boundMs, `${kind}: ${tookMs} ms`);
  }
});

/** A Node that can be taken away: spawning fails, as it does when the machine has no process, or no descriptor, to spare. */
function ownBinary(t: TestContext): string {
  const binary = path.join(ROOT, `artifacts/node-${process.pid}`);
  mkdirSync(path.dirname(binary), { recursive: true });
  linkSync(process.execPath, binary);
  t.after(() => rmSync(binary, { force: true }));
  return binary;
}

test('a worker that does not begin, or that no process could be made for, is missed meanwhile, and tried again', async (t) => {
  const binary = ownBinary(t);
  const adminPort = await freePort();
  const env = { DATABASE_PATH: `${folder}/fork.db`, WORKERS: '1', ADMIN_PORT: String(adminPort) };
  const { node, url } = await startNode(t, env, binary);
  const admin = async (): Promise<string> => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).text();
  rmSync(binary);
  writeFileSync(binary, '#!/bin/sh\nexec sleep 60\n', { mode: 0o755 });
  signalPid(node.workers('gateway')[0] as number, 'SIGKILL');
  await waitFor(
    async () => (await admin()).startsWith('{"ready":false,"trouble":"being replaced: gateway 1"'),
    20_000,
    () => 'nobody misses the gateway',
  );
  rmSync(binary);
  for (const pid of childrenOf(node.pid)) signalPid(pid, 'SIGKILL');
  await waitFor(
    async () => /"ready":false,"trouble":"(no process for|crash loop): writer/.test(await admin()),
    20_000,
    () => 'nobody misses the writer',
  );
  assert.doesNotMatch(await admin(), /"writer":"leader"/);
  linkSync(process.execPath, binary);
  await waitReady(url);
  const token = await newUser(url, 'erin');
  (await connect(url, 'erin', token)).close();
});

test('a node that no workers can be made for says so while it starts', async (t) => {
  const binary = ownBinary(t);
  const adminPort = await freePort();
  const env = { DATABASE_PATH: `${folder}/first.db`, WORKERS: '1', ADMIN_PORT: String(adminPort) };
  const node = new TestNode(env, binary);
  rmSync(binary);
  t.after(() => node.kill());
  const admin = async (): Promise<string> =>
    (await fetch(`http://127.0.0.1:${adminPort}/readyz`).catch(() => undefined))?.text() ?? '';
  await waitFor(
    async () => /"trouble":"this node is starting; (no process for|crash loop): writer/.test(await admin()),
    20_000,
    () => node.output,
  );
});

test('a stopped worker is taken for stuck and replaced', async (t) => {
  const { node, url } = await startNode(t, { DATABASE_PATH: `${folder}/stop.db`, WORKERS: '1' });
  const [frozen] = node.workers('gateway');
  signalPid(frozen as number, 'SIGSTOP');
  await waitFor(
    () => node.events('worker_stuck').length === 1,
    30_000,
    () => 'the stopped worker was not noticed',
  );
  await waitReady(url);
  assert.notEqual(node.workers('gateway')[0], frozen);
});

test('a crash loop backs off and shows in /readyz', async (t) => {
  const { node, url } = await startNode(t, { DATABASE_PATH: `${folder}/loop.db`, WORKERS: '2' });
  const killer = setInterval(() => {
    const [victim] = node.workers('reader');
    if (victim !== undefined) signalPid(victim, 'SIGKILL');
  }, 50);
  t.after(() => clearInterval(killer));
  const reasons: string[] = [];
  await waitFor(
    async () => {
      const response = await fetch(`${url}/readyz`);
      const { checks } = (await response.json()) as { checks: Record<string, { reason?: string }> };
      reasons.push(String(checks['node']?.reason));
      return response.status === 503 && /crash loop: reader/.test(String(checks['node']?.reason));
    },
    60_000,
    () => `readyz never spoke of the crash loop: ${reasons.at(-1)}`,
  );
  const delays = node.events('worker_ended').map((line) => line['restartInMs'] as number);
  assert.ok((delays.at(-1) as number) > (delays[1] as number), `the delays grow: ${delays}`);
  clearInterval(killer);
  await waitReady(url);
});

test('workers do not outlive a killed primary', async (t) => {
  const { node } = await startNode(t, { DATABASE_PATH: `${folder}/primary.db`, WORKERS: '2' });
  const workers = ['gateway', 'writer', 'reader'].flatMap((kind) => node.workers(kind));
  assert.equal(workers.length, 4);
  node.signal('SIGKILL');
  await waitFor(
    () => workers.every((pid) => !isAlive(pid)),
    20_000,
    () => 'workers live on without their primary',
  );
});

test('G8 drain: SIGTERM answers what was sent, tells every client when to come back, and ends with 0', async (t) => {
  const { node, url } = await startNode(t, { DATABASE_PATH: `${folder}/drain.db`, WORKERS: '2' });
  const token = await newUser(url, 'bob');
  const sockets = await Promise.all(Array.from({ length: 10 }, () => connect(url, 'bob', token)));
  const old = new TestSocket(url, { full: false, headers: { Authorization: `Bearer ${token}` } });
  await old.opened;
  old.send({ type: 'connect', user_id: 'bob' });
  for (let i = 0; i < 200; i++)
    sockets[i % 10]?.send({ type: 'message', to: 'bob', message: String(i), client_id: String(i) });
  node.signal('SIGTERM');
  const waits: number[] = [];
  for (const socket of sockets) {
    assert.equal((await socket.closed).code, 1012);
    const closing = socket.frames.at(-1);
    assert.equal(closing?.type, 'closing');
    waits.push(closing?.['reconnect_after_ms'] as number);
  }
  assert.equal((await old.closed).code, 1012);
  assert.ok(new Set(waits).size > 5, `clients come back spread: ${waits}`);
  assert.deepEqual(await node.exited, { code: 0, signal: null });

  const again = await startNode(t, { DATABASE_PATH: `${folder}/drain.db` });
  const socket = await connect(again.url, 'bob', token, { since: 0 });
  await socket.next((frame) => frame.type === 'page' && frame['more'] === false);
  const stored = new Set(socket.messages.map(({ client_id }) => client_id));
  for (const [i, drained] of sockets.entries()) {
    const refused = drained.frames
      .filter((frame) => frame.type === 'error')
      .map((frame) => frame['client_id']);
    const answered = new Set([...refused, ...drained.messages.map(({ client_id }) => client_id)]);
    const own = Array.from({ length: 20 }, (_, n) => String(10 * n + i));
    assert.deepEqual(
      own.filter((id) => !answered.has(id)),
      [],
      'each of its sends is answered',
    );
    assert.ok(
      drained.messages.every(({ client_id }) => stored.has(client_id)),
      'what was echoed is stored',
    );
    assert.ok(
      refused.every((id) => !stored.has(String(id))),
      'what was refused is not',
    );
  }
});

test('G8 drain: requests that are under way are answered, for as long as sends are', async (t) => {
  const { node, url } = await startNode(t, {
    DATABASE_PATH: `${folder}/logins.db`,
    WORKERS: '1',
    SHUTDOWN_TIMEOUT_MS: '30000',
    TRUST_PROXY: 'on',
  });
  await newUser(url, 'finn');
  let answered = 0;
  const logins = Array.from({ length: 150 }, async (_, i) => {
    const body = JSON.stringify({ user_id: 'finn', password: `wrong ${i}` });
    // Each from an address of its own, which has but a share of the line.
    const headers = { 'X-Forwarded-For': `192.0.2.${i}` };
    await fetch(`${url}/login`, { method: 'POST', headers, body });
    answered++;
  });
  // By then all have arrived, however busy the machine is, and most wait for their hash.
  await waitFor(
    () => answered >= 20,
    60_000,
    () => `${answered} were answered`,
  );
  node.signal('SIGTERM');
  assert.ok(answered < 100, `${answered} were answered before`);
  const answers = await Promise.allSettled(logins);
  const unanswered = answers.filter(({ status }) => status === 'rejected').length;
  assert.equal(unanswered, 0, `${unanswered} of ${answers.length} were not answered`);
  assert.deepEqual(await node.exited, { code: 0, signal: null });
});

for (const timeoutMs of ['0', '2000'])
  test(`G8 drain: with SHUTDOWN_TIMEOUT_MS=${timeoutMs}, too, a client with Redis is told when to come back`, async (t) => {
    const redis = await startRedis(t);
    const { node, url } = await startNode(t, {
      REDIS_URL: redis.url,
      DATABASE_PATH: `${folder}/short-${timeoutMs}.db`,
      WORKERS: '1',
      SHUTDOWN_TIMEOUT_MS: timeoutMs,
    });
    const idle = await connect(url, 'gina', await newUser(url, 'gina'));
    node.signal('SIGTERM');
    assert.equal((await idle.closed).code, 1012);
    assert.equal(idle.frames.at(-1)?.type, 'closing');
    await node.exited;
  });

test('G8 drain: a store whose Redis is gone finishes by itself, in the whole time', async (t) => {
  const redis = await startRedis(t);
  const node = new TestNode({
    REDIS_URL: redis.url,
    DATABASE_PATH: `${folder}/store.db`,
    ROLE: 'store',
    SHUTDOWN_TIMEOUT_MS: '4000',
  });
  t.after(() => node.kill());
  await node.waitForEvent('started');
  await redis.kill();
  node.signal('SIGTERM');
  assert.deepEqual(await node.exited, { code: 0, signal: null }, node.output);
  assert.doesNotMatch(node.output, /did not finish in time/);
});

test('G8 drain: a worker that had to be killed shows in the exit code', async (t) => {
  const { node } = await startNode(t, {
    DATABASE_PATH: `${folder}/killed.db`,
    WORKERS: '1',
    // A second of it is the store's, which a busy machine may need.
    SHUTDOWN_TIMEOUT_MS: '4000',
  });
  const [gateway] = node.workers('gateway');
  signalPid(gateway as number, 'SIGSTOP');
  node.signal('SIGTERM');
  assert.equal((await node.exited).code, 1);
  assert.deepEqual(
    node.events('worker_killed').map(({ role, pid }) => [role, pid]),
    [['gateway', gateway]],
  );
  assert.equal(node.events('stopped')[0]?.['killed'], 1);
});

test('G8 drain: a terminal that closes says so to every process in it, perhaps twice: a drain, as with SIGTERM', async (t) => {
  const { node, url } = await startNode(t, { DATABASE_PATH: `${folder}/hangup.db`, WORKERS: '1' });
  const idle = await connect(url, 'hal', await newUser(url, 'hal'));
  for (const kind of ['writer', 'reader', 'gateway']) signalPid(node.workers(kind)[0] as number, 'SIGHUP');
  node.signal('SIGHUP');
  await node.waitForEvent('draining');
  node.signal('SIGHUP');
  assert.equal((await idle.closed).code, 1012);
  assert.equal(idle.frames.at(-1)?.type, 'closing');
  assert.deepEqual(await node.exited, { code: 0, signal: null });
  assert.deepEqual(node.events('worker_ended'), []);
});

test('G8 drain: a log that can not be written, as where its disk is full, ends nobody, and does not keep the node from its end', async (t) => {
  const { node, url, workers } = await startByShell(t, 'exec "$0" src/main.ts > /dev/full', 'unlogged.db');
  const begun = workers();
  const socket = await connect(url, 'ida', await newUser(url, 'ida'));
  socket.send({ type: 'message', to: 'ida', message: 'unlogged' });
  await socket.next((frame) => frame['message'] === 'unlogged');
  assert.deepEqual(workers(), begun, 'no worker was replaced');
  const exited = once(node, 'exit');
  node.kill('SIGTERM');
  assert.deepEqual(await exited, [0, null]);
});

test('G8 drain: SIGTERM to all of a node’s processes while it starts, as from systemd: none is said to have been killed', async (t) => {
  const node = new TestNode({ DATABASE_PATH: `${folder}/early.db`, WORKERS: '1' });
  t.after(() => node.kill());
  await waitFor(
    () => childrenOf(node.pid).length === 3,
    60_000,
    () => `no workers:\n${node.output}`,
  );
  for (const pid of [node.pid, ...childrenOf(node.pid)]) signalPid(pid, 'SIGTERM');
  assert.deepEqual(await node.exited, { code: 0, signal: null }, node.output);
});

test('G6: connections do not get all of a gateway’s descriptors, nor end it: it serves again when they are gone', async (t) => {
  const { url, workers } = await startByShell(t, 'ulimit -n 200; exec "$0" src/main.ts', 'descriptors.db');
  const begun = workers();
  const gateway = begun.find((pid) => titleOf(pid).startsWith('parley: gateway')) as number;
  const open = (): number => readdirSync(`/proc/${gateway}/fd`).length;
  const own = open();
  const throng = Array.from({ length: 250 }, () => new RawConnection(url));
  await waitFor(
    () => open() >= own + 100,
    20_000,
    () => `${open()} descriptors are open, ${own} before`,
  );
  // It tells how it is each second.
  await sleep(2_500);
  assert.ok(open() <= 170, `${open()} of 200 are open`);
  assert.deepEqual(workers(), begun);
  for (const { socket } of throng) socket.destroy();
  await waitReady(url);
});

test('a second SIGTERM forces', async (t) => {
  const node = new TestNode({ DATABASE_PATH: `${folder}/force.db`, SHUTDOWN_TIMEOUT_MS: '60000' });
  t.after(() => node.kill());
  const url = await node.url();
  await waitReady(url);
  // A stopped gateway can't finish: without force, the node would wait for it.
  signalPid(node.workers('gateway')[0] as number, 'SIGSTOP');
  node.signal('SIGTERM');
  await node.waitForEvent('draining');
  node.signal('SIGTERM');
  assert.equal((await node.exited).code, 1);
});
