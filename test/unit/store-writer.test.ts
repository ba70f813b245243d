import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { StoreWriter } from '../../src/app/workers/store-writer.ts';
import type { WriterStatus } from '../../src/cluster/messages.ts';
import type { LeaseAnswer } from '../../src/core/lease.ts';
import { createLogger } from '../../src/ops/logger.ts';
import { ScriptedBus } from '../support/scripted-bus.ts';
import { temporaryFolder } from '../support/server.ts';

const folder = temporaryFolder({ after });

test('G5: a store that Redis refuses to answer asks again, says so once, and leads when it may', async (t) => {
  const refusals = [new Error('OOM command not allowed'), new Error('OOM command not allowed')];
  const held: LeaseAnswer = { kind: 'held' };
  const leaser = {
    acquire: async () => {
      const refusal = refusals.shift();
      if (refusal) throw refusal;
      return held;
    },
    renew: async () => held,
    release: async () => {},
  };
  const log = createLogger('silent', {});
  const warn = t.mock.method(log, 'warn');
  const said: WriterStatus[] = [];
  const store = new StoreWriter(`${folder}/store.db`, new ScriptedBus().port(), leaser, undefined, log, {
    status: (status) => said.push(status),
    leading: () => {},
    lost: assert.fail,
  });
  await store.start();
  await store.stop();
  assert.deepEqual(said, [{ kind: 'leader', generation: 1, lapsed: false }]);
  assert.deepEqual(
    warn.mock.calls.map(({ arguments: [fields] }) => fields),
    [{ event: 'lease_failed', why: 'OOM command not allowed' }],
  );
});
