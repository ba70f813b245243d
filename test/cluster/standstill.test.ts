import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, newUser } from '../support/client.ts';
import { signalPid, startNode, temporaryFolder } from '../support/server.ts';

const folder = temporaryFolder({ after });

test('a node that stood still, as a laptop asleep does, keeps its workers and sockets when it wakes', async (t) => {
  const { node, url } = await startNode(t, { DATABASE_PATH: `${folder}/still.db`, WORKERS: '2' });
  const token = await newUser(url, 'alice');
  const socket = await connect(url, 'alice', token);
  const workers = ['gateway', 'writer', 'reader'].flatMap((kind) => node.workers(kind));
  const all = [node.pid, ...workers];
  for (const pid of all) signalPid(pid, 'SIGSTOP');
  // Longer than a primary waits for a worker that does not answer.
  await sleep(7_000);
  for (const pid of all) signalPid(pid, 'SIGCONT');
  socket.send({ type: 'message', to: 'alice', message: 'good morning' });
  await socket.next((frame) => frame['message'] === 'good morning');
  await sleep(2_500);
  assert.deepEqual(
    ['gateway', 'writer', 'reader'].flatMap((kind) => node.workers(kind)),
    workers,
  );
  assert.deepEqual(node.events('worker_stuck'), []);
});
