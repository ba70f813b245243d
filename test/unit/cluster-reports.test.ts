import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClusterReports } from '../../src/app/cluster-reports.ts';
import { countsOf, SHUTTING_DOWN } from '../../src/ops/node-summary.ts';
import { ScriptedBus, settle } from '../support/scripted-bus.ts';

test('a node that leaves while its last report is still on its way to a slow bus says that it leaves, too', async () => {
  const port = new ScriptedBus().port();
  const told: (string | undefined)[] = [];
  const underWay: { fail(): void; done(): void }[] = [];
  port.publish = (publications) => {
    for (const { payload } of publications) told.push(JSON.parse(payload).trouble);
    return new Promise((done, reject) => underWay.push({ done, fail: () => reject(new Error('lost')) }));
  };
  let trouble = 'first';
  const reports = new ClusterReports('a', port, async () => ({
    node: 'a',
    version: '1.0.0',
    role: 'store',
    upMs: 1_000,
    trouble,
    writer: 'leader',
    workers: [],
    counts: countsOf([]),
  }));
  await reports.tell();
  for (trouble of ['second', SHUTTING_DOWN]) await reports.tell();
  assert.deepEqual(told, ['first'], 'one at a time');
  assert.equal(reports.answer(0).nodes[0]?.trouble, SHUTTING_DOWN, 'its own page does not wait');
  underWay.shift()?.fail();
  await settle();
  assert.deepEqual(told, ['first', SHUTTING_DOWN], 'the newest, and none of those before it');
  underWay.shift()?.done();
  await settle();
  assert.equal(told.length, 2);
  await reports.tell();
  assert.equal(told.length, 3);
});
