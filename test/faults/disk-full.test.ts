import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../support/root.ts';
import { TestNode } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { check } from './checker.ts';
import { Cluster } from './cluster.ts';
import { DatabaseView } from './database.ts';
import { History } from './history.ts';
import { Load } from './load.ts';
import { createRandom } from './random.ts';
import { Volume } from './volume.ts';

const FULL_MS = 8_000;

const ready = async (port: number): Promise<{ ready: boolean; text: string }> => {
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
  return { ready: answer.status === 200, text: await answer.text() };
};

for (const embedded of [true, false]) {
  const mode = embedded ? 'embedded' : 'redis';
  test(`G1, G10: a full disk acknowledges nothing but what is stored, shows in /readyz, and passes without a restart: ${mode}`, async (t) => {
    if (!Volume.available) return t.skip('a small file system in memory needs root on Linux');
    const artefacts = resolve('artifacts/faults', `disk-full-${mode}`);
    const cluster = new Cluster({
      embedded,
      nodes: 1,
      standby: false,
      gateways: 1,
      root: ROOT,
      artefacts,
      smallDisk: true,
    });
    const database = new DatabaseView(cluster.databasePath);
    const history = new History();
    let load: Load | undefined;
    t.after(async () => {
      load?.stop();
      database.close();
      await cluster.close();
    });
    await cluster.start();
    const [node] = cluster.nodes;
    assert.ok(node);
    const accounts = await cluster.accounts(6);
    const ports = (): ReadonlyMap<number, number> => cluster.ports;
    load = new Load({ accounts, random: createRandom(mode), history, ports });
    load.start();
    load.aim(100, Number.POSITIVE_INFINITY);
    const acknowledged = (): number => history.events.filter(({ kind }) => kind === 'acknowledged').length;
    await waitFor(
      () => acknowledged() > 100,
      30_000,
      () => 'the load does not run',
    );
    const processes = node.processes().map(({ pid }) => pid);

    cluster.volume.fill();
    let said = '';
    await waitFor(
      async () => {
        const answer = await ready(node.port);
        said = answer.text;
        return !answer.ready;
      },
      30_000,
      () => `/readyz does not say that the disk is full, but: ${said}`,
    );
    assert.match(said, /disk|full|space/i);
    // A group that did not fit leaves the log longer than what is committed: smaller groups may yet fit in that.
    const full = acknowledged();
    let before = full;
    let since = performance.now();
    await waitFor(
      () => {
        const now = acknowledged();
        if (now !== before) since = performance.now();
        before = now;
        return performance.now() - since >= FULL_MS;
      },
      60_000,
      () => `acknowledgements do not end while nothing can be stored: ${before - full} so far`,
    );
    assert.equal((await ready(node.port)).ready, false);

    cluster.volume.free();
    await waitFor(
      async () => (await ready(node.port)).ready,
      30_000,
      () => 'not ready again',
    );
    await waitFor(
      () => acknowledged() > before + 100,
      30_000,
      () => 'sends do not go on',
    );
    assert.deepEqual(
      node.processes().map(({ pid }) => pid),
      processes,
      'nothing was restarted',
    );

    await load.quiesce(60_000, () => database.newest());
    load.stop();
    const verdict = check(history.events, database.rows());
    assert.deepEqual(database.damage(), []);
    assert.ok(verdict.ok, JSON.stringify({ counts: verdict.counts, samples: verdict.samples }, null, 1));
  });
}

test('a node that starts on a full disk says so, and starts when there is space', async (t) => {
  if (!Volume.available) return t.skip('a small file system in memory needs root on Linux');
  const folder = mkdtempSync(join(tmpdir(), 'parley-full-'));
  const volume = new Volume(folder);
  volume.mount(8);
  const nodes: TestNode[] = [];
  t.after(async () => {
    for (const node of nodes) await node.kill();
    volume.unmount();
    rmSync(folder, { recursive: true });
  });
  const start = (): TestNode => {
    const node = new TestNode({ DATABASE_PATH: join(folder, 'chat.db') });
    nodes.push(node);
    return node;
  };
  const first = start();
  await first.waitForEvent('started');
  first.signal('SIGTERM');
  assert.deepEqual(await first.exited, { code: 0, signal: null });

  volume.fill();
  const refused = start();
  assert.deepEqual(await refused.exited, { code: 1, signal: null });
  assert.match(refused.output, /parley: the database .*chat\.db can't be (used|opened): the disk is full/i);

  volume.free();
  await start().waitForEvent('started');
});
