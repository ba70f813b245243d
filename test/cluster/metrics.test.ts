import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { after, test } from 'node:test';
import { connect, newUser } from '../support/client.ts';
import { freePort } from '../support/ports.ts';
import { signalPid } from '../support/processes.ts';
import { startNode, temporaryFolder, waitReady } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const folder = temporaryFolder({ after });

type Counts = ReadonlyMap<string, number>;

/** Every series that may only grow: counters, and the parts of histograms. */
function countersOf(text: string): Counts {
  const growing = new Set<string>();
  for (const [, name, type] of text.matchAll(/^# TYPE (\S+) (counter|histogram)$/gm)) {
    for (const suffix of type === 'counter' ? [''] : ['_bucket', '_sum', '_count'])
      growing.add(`${name}${suffix}`);
  }
  const counts = new Map<string, number>();
  for (const [, series, name, value] of text.matchAll(/^((\w+)(?:\{[^}]*\})?) (\S+)$/gm)) {
    if (growing.has(String(name))) counts.set(String(series), Number(value));
  }
  return counts;
}

test('counters never go down, whichever worker is killed, and keep what the dead ones counted', async (t) => {
  const adminPort = await freePort();
  const { node, url } = await startNode(t, {
    DATABASE_PATH: `${folder}/chat.db`,
    ADMIN_PORT: String(adminPort),
    WORKERS: '2',
  });
  const scrape = async (): Promise<Counts> =>
    countersOf(await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text());
  const token = await newUser(url, 'alice');
  let before: Counts = new Map();
  let scrapes = 0;
  const problems: string[] = [];
  const watch = async (): Promise<Counts> => {
    const now = await scrape();
    for (const [series, value] of before) {
      const then = now.get(series);
      if (then === undefined) problems.push(`${series} is gone`);
      else if (then < value) problems.push(`${series} fell from ${value} to ${then}`);
    }
    before = now;
    scrapes++;
    return now;
  };
  let watching = true;
  const watcher = (async () => {
    while (watching) await watch();
  })();

  let sent = 0;
  for (const kind of ['gateway', 'writer', 'reader', 'gateway', 'writer', 'reader']) {
    const socket = await connect(url, 'alice', token);
    for (let i = 0; i < 50; i++) socket.send({ type: 'message', to: 'alice', message: `message ${sent++}` });
    await socket.type('message', 50);
    // What a worker counted in its last second may die with it, by design: let it be told first.
    await waitFor(
      () =>
        before.get('parley_messages_committed_total') === sent &&
        before.get('parley_messages_accepted_total') === sent,
      20_000,
      () => `not all ${sent} were counted`,
    );
    for (const pid of node.workers(kind)) signalPid(pid, 'SIGKILL');
    socket.close();
    await waitReady(url);
  }
  watching = false;
  await watcher;
  assert.deepEqual(problems.slice(0, 10), []);
  assert.ok(scrapes > 100, `${scrapes} scrapes`);
  assert.equal(before.get('parley_messages_committed_total'), sent);
  assert.equal(before.get('parley_messages_accepted_total'), sent);
  assert.equal(before.get('parley_worker_restarts_total{role="gateway"}'), 4);
  assert.equal(before.get('parley_worker_restarts_total{role="writer"}'), 2);
  t.diagnostic(`${before.size} series, ${scrapes} scrapes`);
});

test('a worker that finishes tells what it counted in its last second', async (t) => {
  const adminPort = await freePort();
  const { node, url } = await startNode(t, {
    DATABASE_PATH: `${folder}/finish.db`,
    ADMIN_PORT: String(adminPort),
    WORKERS: '1',
  });
  const token = await newUser(url, 'bob');
  let echoed = 0;
  for (let round = 1; round <= 3; round++) {
    const socket = await connect(url, 'bob', token);
    for (const pid of node.workers('gateway')) signalPid(pid, 'SIGTERM');
    // It waits half a second for word from its primary before it goes: these are counted after its last regular report.
    await new Promise((resolve) => setTimeout(resolve, 450));
    for (let i = 0; i < 10; i++) socket.send({ type: 'message', to: 'bob', message: `message ${i}` });
    await socket.closed;
    // On a busy machine it may be too late for them; those that were taken are echoed.
    echoed += socket.messages.length;
    await waitFor(
      () => node.events('worker_ended').length === round,
      20_000,
      () => 'the worker did not finish',
    );
    await waitReady(url);
    const counts = countersOf(await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text());
    assert.equal(counts.get('parley_messages_accepted_total') ?? 0, echoed);
  }
  assert.ok(echoed >= 10, `${echoed} were taken`);
});

test('README names every metric and no other, and the length of the write-ahead log is that of its file', async (t) => {
  const adminPort = await freePort();
  const { url } = await startNode(t, { DATABASE_PATH: `${folder}/wal.db`, ADMIN_PORT: String(adminPort) });
  await newUser(url, 'carol');
  const scrape = async (): Promise<string> => (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  const walBytes = (text: string): number => Number(/^parley_wal_bytes (\d+)$/m.exec(text)?.[1]);
  let text = '';
  await waitFor(
    async () => {
      text = await scrape();
      const everyWorkerReported = /^parley_sockets /m.test(text) && /^parley_queries_total /m.test(text);
      return everyWorkerReported && walBytes(text) === statSync(`${folder}/wal.db-wal`).size;
    },
    20_000,
    () => `parley_wal_bytes is ${walBytes(text)} in:\n${text}`,
  );
  assert.ok(walBytes(text) > 0);
  const exported = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name).sort();
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const rows = readme.split('\n').filter((line) => line.startsWith('| `parley_'));
  const named = rows.flatMap((row) =>
    [...(row.split('|')[1] as string).matchAll(/`(parley_\w+)/g)].map(([, name]) => name),
  );
  assert.deepEqual(named.sort(), exported);
});
