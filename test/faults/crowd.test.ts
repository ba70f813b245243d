import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from '../support/root.ts';
import { Balancer } from './balancer.ts';
import { Cluster } from './cluster.ts';
import { Crowd } from './crowd.ts';
import { DatabaseView } from './database.ts';
import { DRAIN_BOUND_MS } from './process-faults.ts';
import { signal } from './processes.ts';
import { createRandom, type Random } from './random.ts';
import { SEED } from './random-run.ts';

/*
 * Three nodes behind a load balancer, and twenty users of the client package: what happens to the nodes must not show in
 * what the users are told.
 */

const CLIENTS = 20;
const ROUNDS = 3;
const KILLS = 50;
const BACK_WITHIN_MS = 60_000;

type Town = { cluster: Cluster; crowd: Crowd; random: Random };

/** Sets everything up, lets `happen` happen while the crowd talks, and judges. */
async function whileTheyTalk(t: TestContext, name: string, happen: (town: Town) => Promise<void>) {
  const random = createRandom(SEED).fork(name);
  const artefacts = resolve('artifacts/faults', name);
  const options = {
    embedded: false,
    nodes: 3,
    standby: true,
    gateways: 2,
    root: ROOT,
    artefacts,
    smallDisk: false,
  };
  const cluster = new Cluster(options);
  const balancer = new Balancer(cluster.nodes);
  const crowd = new Crowd(random);
  const database = new DatabaseView(cluster.databasePath);
  t.after(async () => {
    crowd.leave();
    database.close();
    await balancer.stop();
    await cluster.close();
  });
  t.diagnostic(`seed ${SEED}, logs in ${artefacts}`);
  await cluster.start();
  await balancer.start();
  await crowd.join(balancer.url, CLIENTS);
  crowd.talk(100);
  await happen({ cluster, crowd, random });
  await crowd.settle(60_000, () => database.newest());
  t.diagnostic(`${crowd.sent} messages, ${crowd.reconnects} connections lost`);
  crowd.judge(database.rows());
  assert.deepEqual(database.damage(), []);
  assert.deepEqual(
    cluster.nodes.flatMap((node) => node.complaints),
    [],
  );
}

test('G8: three rolling restarts of three nodes show only as reconnects', async (t) => {
  await whileTheyTalk(t, 'rolling-restart', async ({ cluster, crowd }) => {
    for (let round = 1; round <= ROUNDS; round++) {
      for (const node of cluster.nodes) {
        const { code, tookMs } = await node.restart(DRAIN_BOUND_MS);
        assert.equal(code, 0, `node ${node.number} ended with ${code} after ${Math.round(tookMs)} ms`);
        assert.ok(await node.untilReady(BACK_WITHIN_MS), `node ${node.number} did not come back`);
      }
    }
    assert.ok(crowd.reconnects >= ROUNDS * CLIENTS, 'everybody was moved in every round');
  });
});

test(`G3, G4: after ${KILLS} kills of gateways, everybody has exactly what is stored`, async (t) => {
  await whileTheyTalk(t, 'gateway-kills', async ({ cluster, random }) => {
    for (let kill = 0; kill < KILLS; kill++) {
      const gateways = cluster.nodes.flatMap((node) => node.processes('gateway'));
      if (gateways.length > 0) signal(random.pick(gateways), 'SIGKILL');
      await sleep(random.between(300, 1_800));
    }
  });
});
