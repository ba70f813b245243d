import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { ClusterAnswer } from '../../src/ops/cluster-view.ts';
import { freePort } from '../support/ports.ts';
import { rawRequest } from '../support/raw.ts';
import { startRedis } from '../support/redis.ts';
import { startNode, TestNode, temporaryFolder, waitReady } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const folder = temporaryFolder({ after });

async function ask(port: number): Promise<ClusterAnswer> {
  return (await fetch(`http://127.0.0.1:${port}/admin/cluster.json`)).json() as Promise<ClusterAnswer>;
}

test('the cluster page of any node shows every node, who writes, and that a dead one is missed', async (t) => {
  const redis = await startRedis(t);
  const ports = [await freePort(), await freePort()] as const;
  const env = { REDIS_URL: redis.url, DATABASE_PATH: `${folder}/chat.db`, WORKERS: '1' };
  await startNode(t, { ...env, ADMIN_PORT: String(ports[0]) });
  const second = await startNode(t, { ...env, ROLE: 'gateway', ADMIN_PORT: String(ports[1]) });
  for (const port of ports) {
    let last: ClusterAnswer | undefined;
    await waitFor(
      async () => {
        last = await ask(port);
        return last.nodes.length === 2 && last.problems.length === 0;
      },
      10_000,
      () => `not two nodes in good health: ${JSON.stringify(last)}`,
    );
    const { nodes } = await ask(port);
    assert.deepEqual(
      nodes.map(({ role, writer }) => [role, writer]),
      [
        ['all', 'leader'],
        ['gateway', 'elsewhere'],
      ],
    );
  }
  await second.node.kill();
  await waitFor(
    async () => (await ask(ports[0])).problems.some((problem) => problem.endsWith('is not heard any more')),
    10_000,
    () => 'nobody missed the dead node',
  );
});

test('the cluster page says which gateways take no tokens of others, and not by what secrets', async (t) => {
  const redis = await startRedis(t);
  const port = await freePort();
  const env = { REDIS_URL: redis.url, DATABASE_PATH: `${folder}/differ.db`, WORKERS: '1' };
  await startNode(t, { ...env, ADMIN_PORT: String(port) });
  const other = await startNode(t, { ...env, ROLE: 'gateway', TOKEN_SECRET: 'x'.repeat(32) });
  // A later version, whose settings are not known.
  const { nodes } = await ask(port);
  const later = { ...nodes[0], node: 'later', counts: {}, settings: { auth: 'required' } };
  let last: ClusterAnswer | undefined;
  await waitFor(
    async () => {
      // Told again and again, as nodes do: the first of them may not have been listening yet.
      await redis.command('PUBLISH', 'parley:0:nodes', JSON.stringify(later));
      last = await ask(port);
      return (
        last.nodes.some(({ node }) => node === 'later') &&
        last.problems.some((problem) => problem.startsWith('TOKEN_SECRET differs: '))
      );
    },
    10_000,
    () => `nobody minds: ${JSON.stringify(last)}`,
  );
  assert.ok(last?.nodes.every((node) => !('settings' in node)));
  await other.node.kill();
  await waitFor(
    async () => !(await ask(port)).problems.some((problem) => problem.startsWith('TOKEN_SECRET')),
    10_000,
    () => 'the dead gateway still counts',
  );
});

test('the cluster page says whose clock is wrong; the node serves all the same', async (t) => {
  const redis = await startRedis(t);
  const port = await freePort();
  const { url } = await startNode(t, {
    REDIS_URL: redis.url,
    DATABASE_PATH: `${folder}/clock.db`,
    WORKERS: '1',
    ADMIN_PORT: String(port),
    NODE_OPTIONS: '--import=data:text/javascript,{const{now}=Date;Date.now=()=>now()-3600000}',
  });
  let last: ClusterAnswer | undefined;
  await waitFor(
    async () => {
      last = await ask(port);
      return last.problems.some((problem) => /: its clock is 3\d{3} s behind Redis's, /.test(problem));
    },
    10_000,
    () => `nobody minds: ${JSON.stringify(last)}`,
  );
  await waitReady(`http://127.0.0.1:${port}`);
  await waitReady(url);
});

test('a store that is stopped has left, however quickly, and is not missed', async (t) => {
  const redis = await startRedis(t);
  const port = await freePort();
  const env = { REDIS_URL: redis.url, DATABASE_PATH: `${folder}/left.db`, ROLE: 'store' };
  const first = new TestNode({ ...env, ADMIN_PORT: String(port) });
  t.after(() => first.kill());
  await first.waitForEvent('started');
  const second = new TestNode(env);
  t.after(() => second.kill());
  await second.waitForEvent('started');
  const said = async (words: string): Promise<boolean> =>
    (await ask(port)).events.some(({ text }) => text.endsWith(words));
  await waitFor(
    async () => (await ask(port)).nodes.length === 2,
    10_000,
    () => 'the second store is not heard',
  );
  second.signal('SIGTERM');
  await second.exited;
  await waitFor(
    async () => (await said('has left')) || (await said('is not heard any more')),
    10_000,
    () => 'nobody noticed',
  );
  assert.deepEqual([await said('has left'), (await ask(port)).nodes.length], [true, 1]);
});

test('the admin port: ready when the node is, a strict policy, HEAD as GET, nothing done for pages of other sites', async (t) => {
  const port = await freePort();
  await startNode(t, { DATABASE_PATH: `${folder}/alone.db`, WORKERS: '1', ADMIN_PORT: String(port) });
  const url = `http://127.0.0.1:${port}`;
  // What its gateway says of itself, it hears once a second.
  await waitReady(url);
  const ready = await fetch(`${url}/readyz`);
  assert.match(String(ready.headers.get('content-security-policy')), /default-src 'none'; script-src 'self'/);
  assert.equal((await fetch(`${url}/readyz`, { method: 'HEAD' })).status, 200);
  const foreign = await fetch(`${url}/backup?file=${folder}/stolen.db`, {
    method: 'POST',
    headers: { Origin: 'https://elsewhere.example' },
  });
  assert.equal(foreign.status, 403);
  assert.equal((await fetch(`${url}//`)).status, 404);
  // A page whose name leads here (DNS rebinding) is of the same origin, to its browser.
  for (const [host, status] of [
    ['evil.example', 403],
    ['localhost.evil.example', 403],
    ['localhost', 200],
    ['127.0.0.1', 200],
  ] as const) {
    const lines = ['GET /admin/cluster.json HTTP/1.1', `Host: ${host}:${port}`, 'Connection: close', '', ''];
    const answer = await rawRequest(url, lines);
    assert.equal(answer.status, status, host);
    if (status === 403) assert.match(answer.body, /Without ADMIN_HOST .*set ADMIN_HOST/);
  }
  let told: unknown;
  await waitFor(
    async () => {
      told = (await ask(port)).nodes.map(({ writer, workers }) => [
        writer,
        workers.map(({ name }) => name).sort(),
      ]);
      return isDeepStrictEqual(told, [['leader', ['gateway 1', 'reader', 'writer']]]);
    },
    20_000,
    () => `what the node tells each second: ${JSON.stringify(told)}`,
  );
});
