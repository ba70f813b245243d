import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { call, connect, newUser, type TestSocket } from '../support/client.ts';
import {
  type RedisTopology,
  startCluster,
  startSecured,
  startSentinel,
  startSingle,
  type TopologyOptions,
} from '../support/redis-topologies.ts';
import { startNode, temporaryFolder } from '../support/server.ts';

/** Opens sockets until there is one on every worker of a node. */
async function socketPerWorker(
  url: string,
  user: string,
  token: string,
  workers: number,
): Promise<TestSocket[]> {
  const byWorker = new Map<string, TestSocket>();
  for (let tries = 0; byWorker.size < workers && tries < 20; tries++) {
    const socket = await connect(url, user, token);
    if (byWorker.has(socket.worker)) socket.close();
    else byWorker.set(socket.worker, socket);
  }
  assert.equal(byWorker.size, workers);
  return [...byWorker.values()];
}

/** TLS in every form: what the primary was told of the certificate authority must reach its workers. */
const FORMS: readonly [name: string, start: (options: TopologyOptions) => Promise<RedisTopology>][] = [
  ['Redis', startSingle],
  ['Redis with a user and TLS', startSecured],
  ['Redis Sentinel with TLS', (options) => startSentinel({ ...options, tls: true, steady: true })],
  ['Redis Cluster with TLS', (options) => startCluster({ ...options, tls: true })],
];

for (const [name, start] of FORMS)
  test(`a socket on any worker of any node gets what a socket on any other sends, through ${name}`, async (t) => {
    const folder = temporaryFolder({ after });
    const redis = await start({ directory: `${folder}/redis` });
    t.after(() => redis.stop());
    const environment = {
      REDIS_URL: redis.url,
      WORKERS: '2',
      ...(redis.ca && { NODE_EXTRA_CA_CERTS: redis.ca }),
    };
    const { url: one } = await startNode(t, { ...environment, DATABASE_PATH: `${folder}/chat.db` });
    const { url: two } = await startNode(t, { ...environment, ROLE: 'gateway' });
    const alice = await newUser(one, 'alice');
    const bob = await newUser(two, 'bob');
    const alices = await socketPerWorker(one, 'alice', alice, 2);
    const bobs = await socketPerWorker(two, 'bob', bob, 2);
    const all = [...alices, ...bobs];
    const workers = new Set(all.map(({ worker }) => worker));
    assert.equal(workers.size, 4);
    let sent = 0;
    for (const from of all) {
      from.send({
        type: 'message',
        to: alices.includes(from) ? 'bob' : 'alice',
        message: `from ${from.worker}`,
      });
      sent++;
      for (const socket of all) await socket.type('message', sent);
    }
    const orders = all.map((socket) => socket.messages.map(({ id }) => id));
    for (const order of orders) assert.deepEqual(order, orders[0]);
    // Read from the node that has no database.
    const history = await call(two, 'GET', '/history?with=alice', { token: bob });
    assert.deepEqual(
      (history.body['messages'] as { id: number }[]).map(({ id }) => id),
      orders[0],
    );
  });
