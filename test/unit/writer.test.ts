import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import Database from 'better-sqlite3';
import { CHANNELS } from '../../src/bus/channels.ts';
import { Fenced } from '../../src/db/store-row.ts';
import { createLogger } from '../../src/ops/logger.ts';
import { WriterMetrics } from '../../src/ops/metrics.ts';
import { COMMANDS_MAX, type Group } from '../../src/writer/group-commit.ts';
import { Ledger } from '../../src/writer/ledger.ts';
import { Writer } from '../../src/writer/writer.ts';
import { batch, openMigrated, register } from '../support/ledger.ts';
import { ScriptedBus, settle } from '../support/scripted-bus.ts';
import { temporaryFolder } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const folder = temporaryFolder({ after });

/** A writer on a log of three entries that are too big to go into one transaction. */
async function bench(name: string, onCommit: (ledger: Ledger, group: Group) => ReturnType<Ledger['commit']>) {
  const bus = new ScriptedBus();
  for (let i = 1; i <= 3; i++) {
    bus.add(JSON.stringify(batch(Array(COMMANDS_MAX).fill(register(`user ${i}`)), i)));
  }
  const ledger = new Ledger(await openMigrated(`${folder}/${name}.db`), (error) =>
    assert.fail(String(error)),
  );
  const tried: string[] = [];
  const watched: Ledger = Object.create(ledger, {
    identity: { value: ledger.identity },
    head: { get: () => ledger.head },
    position: { get: () => ledger.position },
    commitCanary: { value: () => ledger.commitCanary() },
    close: { value: () => {} },
    commit: {
      value: (group: Group) => {
        tried.push(group.position);
        return onCommit(ledger, group);
      },
    },
  });
  const fenced: Fenced[] = [];
  const writer = new Writer(
    bus.port(),
    watched,
    createLogger('silent', {}),
    new WriterMetrics({ walBytes: () => 0 }),
    (error) => fenced.push(error),
  );
  after(() => ledger.close());
  return { bus, ledger, writer, tried, fenced };
}

test('G1 order: a group that could not be committed before the writer was stopped is not passed over', async () => {
  let full = true;
  const { ledger, writer, tried } = await bench('full', (real, group) => {
    if (full) throw new Database.SqliteError('database or disk is full', 'SQLITE_FULL');
    return real.commit(group);
  });
  await writer.start();
  await waitFor(
    () => tried.length > 0,
    2_000,
    () => 'nothing was tried',
  );
  full = false;
  await writer.stop();
  assert.ok(
    ledger.position === undefined || !tried.includes('2') || tried.indexOf('1') < tried.lastIndexOf('1'),
    `tried ${tried}: committed up to ${ledger.position}, without the group at 1`,
  );
});

test('G7 fence: a writer that was replaced tries nothing more, and says so once', async () => {
  const { writer, tried, fenced } = await bench('fenced', () => {
    throw new Fenced(1, 2);
  });
  await writer.start();
  await settle(10);
  await writer.stop();
  assert.deepEqual(tried, ['1']);
  assert.equal(fenced.length, 1);
});

test('G8 stop: what has been read and can be committed is', async () => {
  const { ledger, writer } = await bench('stop', (real, group) => real.commit(group));
  await writer.start();
  await settle(1);
  await writer.stop();
  assert.equal(ledger.position, '3');
});

test('a gateway that has just started hears the writer at once: its first batch is answered with a beat, and no other is', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] }); // No beat by the clock.
  const { bus, writer } = await bench('first', (real, group) => real.commit(group));
  bus.log = [];
  const gateway = bus.port();
  await gateway.subscribe(CHANNELS.beat, () => {});
  await gateway.subscribe(CHANNELS.gateway('g'), () => {});
  const heard = () => gateway.inbox.splice(0).map(({ channel }) => channel);
  after(() => writer.stop());
  await writer.start();
  await settle();
  assert.deepEqual(heard(), [CHANNELS.beat], 'at the start');
  for (const seq of [1, 2]) {
    bus.add(JSON.stringify(batch([], seq)));
    const inbox: string[] = [];
    await waitFor(
      () => inbox.push(...heard()) > 0,
      2_000,
      () => `batch ${seq} was not answered`,
    );
    assert.deepEqual(inbox, seq === 1 ? [CHANNELS.gateway('g'), CHANNELS.beat] : [CHANNELS.gateway('g')]);
  }
});
