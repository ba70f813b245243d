import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import type { ToPrimary } from '../../src/cluster/messages.ts';
import { ROOT } from '../support/root.ts';

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
