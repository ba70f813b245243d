import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import type { ToPrimary } from '../../src/cluster/messages.ts';
import { socketPair } from '../../src/cluster/socket-pair.ts';
import { ROOT } from '../support/root.ts';
import { waitFor } from '../support/wait.ts';

/** A worker whose start is broken off by its drain: what it waits for, the bus, is closed meanwhile. */
const BROKEN_OFF = `
import { WorkerProcess } from '${path.join(ROOT, 'src/cluster/worker-process.ts')}';
import { createLogger } from '${path.join(ROOT, 'src/ops/logger.ts')}';
const self = new WorkerProcess(createLogger('silent', {}), async () => {
  self.fail('The bus is closed.');
  await new Promise((resolve) => setTimeout(resolve, 50));
});
self.ready();
`;

test('G8: a worker that is told to finish while it starts ends in peace, and does not say that it could not start', async (t) => {
  const worker = spawn(process.execPath, ['--input-type=module', '-e', BROKEN_OFF], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  t.after(() => worker.kill('SIGKILL'));
  const said: string[] = [];
  worker.on('message', ({ kind }: ToPrimary) => {
    said.push(kind);
    if (kind === 'ready') worker.send({ kind: 'drain' });
  });
  assert.deepEqual(await once(worker, 'exit'), [0, null]);
  assert.deepEqual(said, ['ready']);
});

/** A worker that says hello over each socket it was given, once it asks for them. */
const WITH_PEERS = `
import { WorkerProcess } from '${path.join(ROOT, 'src/cluster/worker-process.ts')}';
import { createLogger } from '${path.join(ROOT, 'src/ops/logger.ts')}';
const self = new WorkerProcess(createLogger('silent', {}), async () => {});
let pings = 0;
process.on('message', ({ kind }) => {
  if (kind !== 'ping' || ++pings > 1) return;
  let peers = 0;
  self.onPeer((socket) => socket.end('hello ' + ++peers));
});
`;

test('a worker keeps the sockets that come before it takes them, and takes those that come later', async (t) => {
  const worker = spawn(process.execPath, ['--input-type=module', '-e', WITH_PEERS], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  });
  t.after(() => worker.kill('SIGKILL'));
  const heard: string[] = [];
  for (const [order, name] of ['hello 1', 'hello 2', 'hello 3'].entries()) {
    const [mine, theirs] = await socketPair();
    t.after(() => mine.destroy());
    mine.on('data', (data) => heard.push(`${data}`)).resume();
    worker.send({ kind: 'peer' }, theirs);
    if (order > 0) worker.send({ kind: 'ping' });
    if (order === 0) continue;
    await waitFor(
      () => heard.includes(name),
      10_000,
      () => `heard ${heard}`,
    );
  }
  assert.deepEqual(heard.sort(), ['hello 1', 'hello 2', 'hello 3']);
});
