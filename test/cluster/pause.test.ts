import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connect, newUser } from '../support/client.ts';
import { childrenOf, signalPid } from '../support/processes.ts';
import { startNode, temporaryFolder, waitReady } from '../support/server.ts';

const folder = temporaryFolder({ after });

test('a node that was stopped as a whole, as a paused container is, goes on with the workers and sockets it had', async (t) => {
  const { node, url } = await startNode(t, { DATABASE_PATH: `${folder}/chat.db`, WORKERS: '1' });
  const socket = await connect(url, 'alice', await newUser(url, 'alice'));
  const pids = [...childrenOf(node.pid), node.pid];
  t.after(() => {
    for (const pid of pids) signalPid(pid, 'SIGCONT');
  });
  for (const pid of pids) signalPid(pid, 'SIGSTOP');
  await new Promise((resolve) => setTimeout(resolve, 8_000));
  for (const pid of pids) signalPid(pid, 'SIGCONT');
  await waitReady(url, () => node.output);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  assert.deepEqual(node.events('worker_stuck'), []);
  assert.deepEqual(childrenOf(node.pid).sort(), pids.slice(0, -1).sort());
  socket.send({ type: 'message', to: 'alice', message: 'still here' });
  await socket.type('message');
});
