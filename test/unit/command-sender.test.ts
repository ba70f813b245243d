import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommandSender } from '../../src/bus/command-sender.ts';
import type { Outcome } from '../../src/core/commands.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { ScriptedBus, settle } from '../support/scripted-bus.ts';

const command = { kind: 'send', from: 'a', to: 'b', text: 'x', clientId: '1' } as const;

async function bench(t: { after(task: () => void): void }) {
  const bus = new ScriptedBus();
  const port = bus.port();
  const clock = new ManualClock();
  const sender = new CommandSender(port, clock, 'g1');
  t.after(() => sender.stop());
  await sender.start();
  const entries = (): { seq: number; commands: unknown[] }[] =>
    bus.log.map(({ payload }) => JSON.parse(payload)).filter((batch) => batch.commands.length > 0);
  return { bus, port, clock, sender, entries };
}

test('G5: a batch without a result is appended again, later each time', async (t) => {
  const { clock, sender, entries } = await bench(t);
  sender.submit(command, () => {});
  await settle();
  assert.equal(entries().length, 1);
  for (const [after, count] of [
    [3_500, 2],
    [3_500, 2],
    [3_000, 3],
    [6_500, 3],
  ] as const) {
    clock.advance(after);
    await settle();
    assert.equal(entries().length, count, `after ${after} ms more`);
  }
  assert.equal(new Set(entries().map(({ seq }) => seq)).size, 1);
});

test('G5: when results may have been missed, what waits for one is appended again at once, however often it was before', async (t) => {
  const { port, clock, sender, entries } = await bench(t);
  const outcomes: Outcome[] = [];
  sender.submit(command, (outcome) => outcomes.push(outcome));
  await settle();
  for (const ms of [3_500, 6_500]) {
    clock.advance(ms);
    await settle();
  }
  assert.equal(entries().length, 3);
  port.gap();
  await settle();
  assert.equal(entries().length, 4);
  clock.advance(3_500);
  await settle();
  assert.equal(entries().length, 5, 'it does not pay for earlier tries');
  const seq = entries()[0]?.seq;
  await port.publish([{ channel: 'g:g1', payload: JSON.stringify({ seq, outcomes: [] }) }]);
  port.deliver();
  assert.deepEqual(outcomes, [{ kind: 'done' }]);
  port.gap();
  await settle();
  assert.equal(entries().length, 5, 'what has its result is left alone');
});

test('what comes alone is appended at once; after an append of n commands, what comes within n ms goes together, 4 ms at most', async (t) => {
  const { clock, sender, entries } = await bench(t);
  const submit = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) sender.submit(command, () => {});
    await settle();
  };
  const expectBatches = (...sizes: number[]): void =>
    assert.deepEqual(
      entries().map(({ commands }) => commands.length),
      sizes,
    );
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await settle();
  };
  await submit(1);
  await submit(1);
  await submit(1);
  expectBatches(1);
  await pass(1);
  expectBatches(1, 2);
  await submit(9);
  await pass(1);
  expectBatches(1, 2);
  await pass(1);
  expectBatches(1, 2, 9);
  await submit(1);
  await pass(3);
  expectBatches(1, 2, 9);
  await pass(1);
  expectBatches(1, 2, 9, 1);
  await pass(1);
  await submit(1);
  expectBatches(1, 2, 9, 1, 1);
});
