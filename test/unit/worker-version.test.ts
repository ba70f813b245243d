import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { readConfig } from '../../src/config/config.ts';
import { type WorkerOrder, workerEnvironment } from '../../src/config/worker.ts';
import { ROOT } from '../support/root.ts';
import { bareEnvironment } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

test('a worker whose files were replaced under a running node says that the node is to be restarted', async (t) => {
  const order: WorkerOrder = {
    role: 'reader',
    name: 'reader',
    node: 'n',
    version: '0.0.1',
    config: readConfig({}),
    hadDatabase: false,
  };
  const worker = fork(path.join(ROOT, 'src/main.ts'), {
    env: { ...bareEnvironment(), ...workerEnvironment(order), NODE_UNIQUE_ID: '1' },
    silent: true,
  });
  t.after(() => worker.kill('SIGKILL'));
  let output = '';
  worker.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  await waitFor(
    () => output.includes('\n'),
    20_000,
    () => 'it says nothing',
  );
  const { level, event, primary, msg } = JSON.parse(output.split('\n')[0] as string);
  assert.deepEqual([level, event, primary], ['error', 'other_version', '0.0.1']);
  assert.match(msg, /this worker is of Parley .+, and its node of 0\.0\.1: .+ restart it/);
});
