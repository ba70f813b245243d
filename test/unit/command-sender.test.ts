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
  // The writer's beats, until it falls silent.
  let silent = false;
  const beat = (): void => {
    if (!silent) sender.heard(true);
    clock.after(500, beat);
  };
  beat();
  const fallSilent = (): void => {
    silent = true;
  };
  const entries = (): { seq: number; commands: unknown[] }[] =>
    bus.log.map(({ payload }) => JSON.parse(payload)).filter((batch) => batch.commands.length > 0);
  return { bus, port, clock, sender, entries, fallSilent };
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

test('what comes alone is appended at once; the next append a millisecond later for every four commands, four at most', async (t) => {
  const { clock, sender, entries } = await bench(t);
  const sizes: number[] = [];
  const submit = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) sender.submit(command, () => {});
    await settle();
  };
  /** Time passes; `size` commands have been appended at its end, and none before. */
  const appendedAfter = async (ms: number, size: number): Promise<void> => {
    const batches = (): number[] => entries().map(({ commands }) => commands.length);
    for (let passed = 0; passed < ms; passed++) {
      assert.deepEqual(batches(), sizes, `${passed} ms after`);
      clock.advance(1);
      await settle();
    }
    sizes.push(size);
    assert.deepEqual(batches(), sizes);
  };
  await submit(1);
  await appendedAfter(0, 1);
  await submit(5);
  await appendedAfter(1, 5);
  await submit(40);
  await appendedAfter(2, 40);
  await submit(1);
  await appendedAfter(4, 1);
  clock.advance(1);
  await submit(2);
  await appendedAfter(0, 2);
});

test('G5: a clock that is set back does not keep a batch from being appended again, nor a canary from being sent', async (t) => {
  const { bus, clock, sender, entries } = await bench(t);
  sender.submit(command, () => {});
  await settle();
  clock.step(-3_600_000);
  clock.advance(3_500);
  await settle();
  assert.equal(entries().length, 2);
  clock.advance(30_000);
  await settle();
  const canaries = (): number => bus.log.length - entries().length;
  const before = canaries();
  clock.step(-3_600_000);
  clock.advance(5_000);
  await settle();
  assert.ok(canaries() > before);
});

test('G6: while the writer has been silent for long nothing is taken in, so that the log does not fill', async (t) => {
  const { clock, sender, entries, fallSilent } = await bench(t);
  const outcomes: Outcome[] = [];
  const submit = (): void => sender.submit(command, (outcome) => outcomes.push(outcome));
  fallSilent();
  clock.advance(9_000);
  submit();
  assert.deepEqual(outcomes, []);
  clock.advance(2_000);
  submit();
  assert.deepEqual(outcomes, [{ kind: 'refused', code: 'unavailable' }]);
  await settle();
  assert.equal(entries().length, 1);
  clock.advance(4_000);
  await settle();
  assert.equal(entries().length, 1, 'nor is anything appended again');
  sender.heard(true);
  submit();
  assert.equal(outcomes.length, 1);
  clock.advance(500);
  await settle();
  assert.ok(entries().length > 2, 'what waits is, once the writer is back');
});

test("G5: a gateway that stood still does not take its own silence for the writer's", async (t) => {
  const { clock, sender, fallSilent } = await bench(t);
  fallSilent();
  // As after SIGCONT: the time has passed, and what came meanwhile is not read before the timers have run.
  clock.sleep(60_000);
  const outcomes: Outcome[] = [];
  sender.submit(command, (outcome) => outcomes.push(outcome));
  assert.deepEqual(outcomes, []);
});
