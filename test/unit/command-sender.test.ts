import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommandSender } from '../../src/bus/command-sender.ts';
import { ParleyError } from '../../src/contract/errors.ts';
import type { Outcome } from '../../src/core/commands.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { ScriptedBus, settle } from '../support/scripted-bus.ts';

const command = { kind: 'send', from: 'a', to: 'b', text: 'x', clientId: '1' } as const;

async function fixture(t: { after(task: () => void): void }) {
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

test('G5: a batch without a result is appended again, later each time, whatever became of its appends', async (t) => {
  const { bus, clock, sender, entries } = await fixture(t);
  bus.fates.push('unknown', 'arrives', 'unknown');
  sender.submit(command, () => {});
  await settle();
  assert.equal(entries().length, 1);
  for (const [after, count] of [
    [2_500, 1],
    [1_000, 2],
    [5_000, 2],
    [1_000, 3],
    [11_000, 3],
    [1_000, 4],
  ] as const) {
    for (let ms = 0; ms < after; ms += 500) {
      clock.advance(500);
      await settle();
    }
    assert.equal(entries().length, count, `after ${after} ms more`);
  }
  assert.equal(new Set(entries().map(({ seq }) => seq)).size, 1);
});

test('G5: when results may have been missed, what waits for one is appended again at once, however often it was before', async (t) => {
  const { port, clock, sender, entries } = await fixture(t);
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
  for (const _ of ['a result', 'that of its second entry']) {
    await port.publish([{ channel: 'g:g1', payload: JSON.stringify({ seq, outcomes: [] }) }]);
    port.deliver();
    assert.deepEqual(outcomes, [{ kind: 'done' }]);
  }
  port.gap();
  await settle();
  assert.equal(entries().length, 5, 'what has its result is left alone');
});

test('G6: what is being appended is not appended again meanwhile', async (t) => {
  const { port, clock, sender } = await fixture(t);
  sender.submit(command, () => {});
  await settle();
  let again = 0;
  port.append = () => {
    again++;
    return new Promise(() => {});
  };
  port.gap();
  port.gap();
  clock.advance(10_000);
  await settle();
  assert.equal(again, 1);
});

test('what comes alone is appended at once; the next append a millisecond later for every hundred commands, four at most', async (t) => {
  const { clock, sender, entries } = await fixture(t);
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
  await submit(201);
  await appendedAfter(1, 201);
  await submit(499);
  await appendedAfter(3, 499);
  await submit(1);
  await appendedAfter(4, 1);
  clock.advance(1);
  await submit(2);
  await appendedAfter(0, 2);
});

test('M7: sends are in the log in the order in which they were handed in, over however many entries', async (t) => {
  const { clock, sender, entries } = await fixture(t);
  const ids = Array.from({ length: 1_200 }, (_, i) => `c${i}`);
  for (const [i, clientId] of ids.entries()) {
    sender.submit({ ...command, clientId }, () => {});
    if (i === 0 || i === 300) await settle();
  }
  for (let ms = 0; ms < 20; ms += 4) {
    clock.advance(4);
    await settle();
  }
  assert.ok(entries().length > 2);
  assert.deepEqual(
    entries().flatMap(({ commands }) => commands.map((one) => (one as typeof command).clientId)),
    ids,
  );
});

test('G6: while two appends are under way, what comes in waits, and leaves together as soon as one of them is done', async (t) => {
  const { port, clock, sender } = await fixture(t);
  const appended: number[] = [];
  const underWay: (() => void)[] = [];
  port.append = (payload) => {
    appended.push(JSON.parse(payload).commands.length);
    return new Promise((done) => underWay.push(done));
  };
  const submit = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) sender.submit(command, () => {});
    await settle();
    clock.advance(10);
    await settle();
  };
  for (const count of [1, 2, 3, 4]) await submit(count);
  assert.deepEqual(appended, [1, 2]);
  underWay.shift()?.();
  await settle();
  assert.deepEqual(appended, [1, 2, 7]);
});

test('G10: a gateway that has nothing on its way sends a canary, 2 s after it was last answered', async (t) => {
  const { bus, port, clock, sender } = await fixture(t);
  const canaries = (): number =>
    bus.log.filter(({ payload }) => JSON.parse(payload).commands.length === 0).length;
  const answer = async (): Promise<void> => {
    for (const { payload } of bus.log.splice(0)) {
      const { seq } = JSON.parse(payload);
      await port.publish([{ channel: 'g:g1', payload: JSON.stringify({ seq, outcomes: [] }) }]);
    }
    port.deliver();
  };
  sender.submit(command, () => {});
  await settle();
  clock.advance(2_500);
  await settle();
  assert.equal(canaries(), 0, 'a send that waits is as good');
  await answer();
  clock.advance(1_500);
  assert.equal(canaries(), 0);
  clock.advance(500);
  assert.equal(canaries(), 1);
});

test('G5: a clock that is set back does not keep a batch from being appended again, nor a canary from being sent', async (t) => {
  const { bus, clock, sender, entries } = await fixture(t);
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
  const { clock, sender, entries, fallSilent } = await fixture(t);
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
  const { clock, sender, fallSilent } = await fixture(t);
  fallSilent();
  // As after SIGCONT: the time has passed, and what came meanwhile is not read before the timers have run.
  clock.sleep(60_000);
  const outcomes: Outcome[] = [];
  sender.submit(command, (outcome) => outcomes.push(outcome));
  assert.deepEqual(outcomes, []);
});

test('G6: more commands than may be unsettled, or more text, are refused as overloaded, and taken in again when there is room', async (t) => {
  for (const [text, count] of [
    ['x', 20_000],
    ['x'.repeat(64 * 1024), 512],
  ] as const) {
    const { port, sender, entries } = await fixture(t);
    const outcomes: Outcome[] = [];
    const submit = (): void => sender.submit({ ...command, text }, (outcome) => outcomes.push(outcome));
    for (let i = 0; i < count; i++) submit();
    assert.equal(outcomes.length, 0);
    submit();
    assert.deepEqual(outcomes.splice(0), [{ kind: 'refused', code: 'overloaded' }]);
    assert.equal(sender.unsettled, count);
    await settle();
    for (const { seq, commands } of entries()) {
      assert.ok(
        commands.length <= Math.min(500, Math.ceil((256 * 1024) / text.length)),
        'an entry is bounded',
      );
      await port.publish([{ channel: 'g:g1', payload: JSON.stringify({ seq, outcomes: [] }) }]);
    }
    port.deliver();
    assert.ok(outcomes.length > 0 && outcomes.every(({ kind }) => kind === 'done'));
    assert.equal(sender.unsettled, count - outcomes.length);
    outcomes.length = 0;
    submit();
    assert.equal(outcomes.length, 0, 'there is room');
  }
});

test('G6, M6: what has no answer after 30 s is refused as unavailable, whether the log has it or the bus is away; from 4 s on it is trouble', async (t) => {
  for (const away of [false, true]) {
    const { port, clock, sender } = await fixture(t);
    if (away) port.append = () => new Promise(() => {});
    const outcomes: Outcome[] = [];
    // With the bus away, the appends that may be under way at once are, and the third command is in no batch.
    for (let i = 0; i < 3; i++) {
      sender.submit(command, (outcome) => outcomes.push(outcome));
      await settle();
      clock.advance(4);
      await settle();
    }
    assert.equal(sender.trouble, undefined);
    clock.advance(4_500);
    assert.match(sender.trouble ?? '', /sends have waited for \d s/);
    clock.advance(25_000);
    assert.equal(outcomes.length, 0);
    clock.advance(1_500);
    assert.deepEqual(outcomes, Array(3).fill({ kind: 'refused', code: 'unavailable' }));
    assert.equal(sender.unsettled, 0);
    outcomes.length = 0;
    port.append = async () => {};
    sender.submit(command, (outcome) => outcomes.push(outcome));
    clock.advance(100);
    assert.equal(outcomes.length, 0);
    assert.equal(sender.unsettled, 1, 'nothing of them is counted any more');
  }
});

test('G10: what is in no batch yet counts as waiting, too, until it is given up', async (t) => {
  const { port, clock, sender } = await fixture(t);
  port.append = () => new Promise(() => {});
  // Both appends that may be under way hang, though what they carried has been answered.
  for (const seq of [1, 2]) {
    sender.sendCanary();
    await port.publish([{ channel: 'g:g1', payload: JSON.stringify({ seq, outcomes: [] }) }]);
  }
  port.deliver();
  sender.submit(command, () => {});
  await settle();
  assert.equal(sender.trouble, undefined);
  for (let ms = 0; ms < 4_500; ms += 500) {
    clock.advance(500);
    sender.submit(command, () => {});
  }
  assert.match(sender.trouble ?? '', /sends have waited/, 'however many have come since');
  for (let ms = 0; ms < 40_000; ms += 500) clock.advance(500);
  assert.equal(sender.unsettled, 0, 'all were given up');
  sender.submit(command, () => {});
  for (let ms = 0; ms < 3_500; ms += 500) clock.advance(500);
  assert.equal(sender.unsettled, 1, 'what comes then has its own time');
});

test('G6, G10: where more comes than a slow bus takes at once, each command waits for its own time: none is given up for one before it', async (t) => {
  const { port, clock, sender } = await fixture(t);
  const underWay: { seq: number; at: number; done: () => void }[] = [];
  port.append = (payload) => {
    const { seq, at } = JSON.parse(payload);
    return new Promise((done) => underWay.push({ seq, at, done }));
  };
  const outcomes: Outcome[] = [];
  const text = 'x'.repeat(64 * 1024);
  // Two entries of four such texts can be under way, each for a second. So eight more always wait to be.
  const submit = (count: number): void => {
    for (let i = 0; i < count; i++) sender.submit({ ...command, text }, (outcome) => outcomes.push(outcome));
  };
  submit(8);
  for (let s = 0; s < 60; s++) {
    submit(8);
    await settle();
    clock.advance(1_000);
    assert.equal(sender.trouble, undefined, `after ${s} s`);
    assert.equal(underWay.length, 2);
    for (const { seq, at, done } of underWay.splice(0)) {
      assert.ok(clock.now() - at <= 2_000, `after ${s} s, ${clock.now() - at} ms`);
      done();
      await port.publish([{ channel: 'g:g1', payload: JSON.stringify({ seq, outcomes: [] }) }]);
    }
    port.deliver();
    await settle();
  }
  assert.deepEqual(outcomes, Array(60 * 8).fill({ kind: 'done' }));
});

test('a gateway that has just started has started once it hears results, and takes commands before it has heard the writer', async (t) => {
  const bus = new ScriptedBus();
  const port = bus.port();
  const clock = new ManualClock();
  const sender = new CommandSender(port, clock, 'g1');
  t.after(() => sender.stop());
  const active = Promise.withResolvers<void>();
  port.subscribe = () => active.promise;
  let started = false;
  const start = sender.start().then(() => {
    started = true;
  });
  await settle();
  assert.equal(started, false);
  active.resolve();
  await start;
  clock.advance(9_000);
  const outcomes: Outcome[] = [];
  sender.submit(command, (outcome) => outcomes.push(outcome));
  assert.deepEqual(outcomes, []);
});

test('G1: while the writer says that it can not commit, new commands are refused at once; those under way wait for it', async (t) => {
  const { port, sender, entries } = await fixture(t);
  const outcomes: Outcome[] = [];
  const submit = (): void => sender.submit(command, (outcome) => outcomes.push(outcome));
  submit();
  await settle();
  sender.heard(false);
  submit();
  assert.deepEqual(outcomes.splice(0), [{ kind: 'refused', code: 'unavailable' }]);
  await settle();
  assert.equal(entries().length, 1);
  sender.heard(true);
  submit();
  assert.equal(outcomes.length, 0);
  await port.publish([
    { channel: 'g:g1', payload: JSON.stringify({ seq: entries()[0]?.seq, outcomes: [] }) },
  ]);
  port.deliver();
  assert.deepEqual(outcomes, [{ kind: 'done' }]);
});

test('what a newer store answers to one command is refused, and hides neither the other answers nor that it is none', async (t) => {
  const { port, sender, entries } = await fixture(t);
  const outcomes: string[] = [];
  for (const name of ['a', 'b', 'c', 'd'])
    sender.submit(command, (outcome) => {
      // As whoever waits for a command does.
      const said = outcome.kind === 'refused' ? new ParleyError(outcome.code).code : outcome.kind;
      outcomes.push(`${name} ${said}`);
    });
  await settle();
  const seq = entries()[0]?.seq;
  const hear = async (result: unknown): Promise<void> => {
    await port.publish([{ channel: 'g:g1', payload: JSON.stringify(result) }]);
    port.deliver();
  };
  await assert.rejects(hear({ seq, results: { all: 'refused' } }), TypeError);
  assert.deepEqual(outcomes, [], 'not known to be done');
  await hear({
    seq,
    outcomes: [
      [0, { kind: 'refused', code: 'invalid_mood' }],
      [1, { kind: 'postponed' }],
      [2, { kind: 'refused', code: 'unknown_user' }],
    ],
  });
  assert.deepEqual(outcomes, ['a internal', 'b internal', 'c unknown_user', 'd done']);
  assert.equal(sender.unsettled, 0);
});
