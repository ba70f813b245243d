import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClusterReports } from '../../src/app/cluster-reports.ts';
import { CHANNELS } from '../../src/bus/channels.ts';
import { countsOf, type NodeSummary, SHUTTING_DOWN } from '../../src/ops/node-summary.ts';
import { ScriptedBus, settle } from '../support/scripted-bus.ts';

const SUMMARY: NodeSummary = {
  node: 'a',
  version: '1.0.0',
  role: 'store',
  upMs: 1_000,
  writer: 'leader',
  workers: [],
  counts: countsOf([]),
};

test('a node that leaves while its last report is still on its way to a slow bus says that it leaves, too', async () => {
  const port = new ScriptedBus().port();
  const told: (string | undefined)[] = [];
  const underWay: { fail(): void; done(): void }[] = [];
  port.publish = (publications) => {
    for (const { payload } of publications) told.push(JSON.parse(payload).trouble);
    return new Promise((done, reject) => underWay.push({ done, fail: () => reject(new Error('lost')) }));
  };
  let trouble = 'first';
  const reports = new ClusterReports('a', port, async () => ({ ...SUMMARY, trouble }));
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

test('the page of a node says what is so now: neither what it told itself a while ago, nor what a gateway that is gone was set to', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const port = new ScriptedBus().port();
  const settings = (secret: string) => ({ auth: 'required' as const, secrets: [secret] });
  let trouble = 'first';
  const reports = new ClusterReports('a', port, async () => ({
    ...SUMMARY,
    trouble,
    settings: settings('x'),
  }));
  await reports.start();
  const beat = { term: 't', seq: 1, epoch: 'e', writer: { ok: true }, heads: [], revoked: [] };
  const other = JSON.stringify({ ...SUMMARY, node: 'b', role: 'gateway', settings: settings('y') });
  const second = async (): Promise<void> => {
    now += 1_000;
    t.mock.timers.tick(1_000);
    await settle();
  };
  trouble = 'second';
  await second();
  port.deliver(1);
  assert.deepEqual(reports.answer(0).problems, ['the writer has not been heard yet', 'a: second']);
  await port.publish([
    { channel: CHANNELS.beat, payload: JSON.stringify(beat) },
    { channel: CHANNELS.nodes, payload: other },
  ]);
  port.deliver();
  assert.deepEqual(reports.answer(0).problems, [
    'a: second',
    "TOKEN_SECRET differs: b takes no tokens of a's",
  ]);
  for (let i = 0; i < 4; i++) await second();
  assert.deepEqual(reports.answer(0).problems, [
    'the writer has not been heard for 4 s',
    'a: second',
    'b is not heard any more',
  ]);
});

test('a node of a version that counts less is shown as long as it is heard, with what it counts', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const port = new ScriptedBus().port();
  const reports = new ClusterReports('a', port, async () => SUMMARY);
  await reports.start();
  for (let second = 1; second <= 6; second++) {
    now += 1_000;
    t.mock.timers.tick(1_000);
    const counts = { accepted: second * 10, pending: 3 };
    const payload = JSON.stringify({ ...SUMMARY, node: 'b', writer: 'elsewhere', counts });
    await port.publish([{ channel: CHANNELS.nodes, payload }]);
    port.deliver();
    await settle();
  }
  const { problems, nodes, events } = reports.answer(0);
  assert.deepEqual(problems, ['the writer has not been heard yet']);
  const b = nodes.find(({ node }) => node === 'b');
  assert.equal(b?.lost, false);
  assert.deepEqual(
    [b?.now.accepted, b?.now.pending, b?.now.delivered, b?.now.lag99, b?.restarts],
    [10, 3, 0, null, 0],
  );
  assert.deepEqual(
    events.filter(({ text }) => text.startsWith('b ')).map(({ text, times }) => [text, times]),
    [['b joined', 1]],
  );
});
