import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { QueryPort } from '../../src/core/queries.ts';
import { BeatMonitor } from '../../src/gateway/beat-monitor.ts';
import { OPEN_WARNING, Readiness } from '../../src/gateway/readiness.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { settle } from '../support/scripted-bus.ts';

const BEAT = { term: 't', epoch: 'e', writer: { ok: true }, heads: [], revoked: [] } as const;

/** A gateway that is ready, on a writer and a reader that the test can silence. */
async function fixture(open = false) {
  const clock = new ManualClock();
  const beats = new BeatMonitor(clock);
  const commands: { trouble: string | undefined } = { trouble: undefined };
  const world = { writer: true, reader: true, asked: 0, secrets: [] as string[] };
  const queries: QueryPort = {
    ask: (async () => {
      world.asked++;
      if (!world.reader) throw new Error('no reader');
      return { epoch: 'e', tokenSecret: 'secret' };
    }) as QueryPort['ask'],
  };
  const readiness = new Readiness(clock, queries, beats, commands, open);
  let seq = 0;
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 500) {
      if (world.writer) beats.hear({ ...BEAT, seq: ++seq });
      clock.advance(500);
      await settle(2);
    }
  };
  assert.equal(readiness.answer().ready, false, 'nobody has been heard');
  readiness.watch(({ tokenSecret }) => world.secrets.push(tokenSecret));
  await settle(2);
  await pass(500);
  assert.deepEqual(world.secrets, ['secret']);
  assert.deepEqual(readiness.answer(), {
    ready: true,
    ...(open ? { auth: 'open', warning: `${OPEN_WARNING}.` } : { auth: 'required' }),
    checks: { writer: { ok: true }, reader: { ok: true }, node: { ok: true } },
  });
  return { clock, world, commands, readiness, pass };
}

test('H12 ready: with AUTH=open the answer says so, and what that means', async () => {
  await fixture(true);
});

test('G10 ready: a reader that is not there yet is asked five times a second, so that the first to come is not waited for', async () => {
  const clock = new ManualClock();
  let asked = 0;
  const queries: QueryPort = {
    ask: async () => {
      asked++;
      throw new Error('no reader');
    },
  };
  const readiness = new Readiness(clock, queries, new BeatMonitor(clock), { trouble: undefined }, false);
  readiness.watch(() => {});
  for (let passed = 0; passed < 1_000; passed += 200) {
    await settle(2);
    clock.advance(200);
  }
  assert.equal(asked, 6);
  assert.deepEqual(readiness.failing, ['the writer has not been heard yet', 'no reader has answered yet']);
});

test('G10 ready: stays so for as long as all answer, and the reader is asked again and again', async () => {
  const { world, readiness, pass } = await fixture();
  for (let i = 0; i < 30; i++) {
    await pass(1_000);
    assert.equal(readiness.answer().ready, true, `after ${i + 1} s`);
  }
  assert.ok(world.asked >= 10, `asked ${world.asked} times`);
});

test('G10 ready: not while sends wait, no writer is heard, or the node says why', async () => {
  const { world, commands, readiness, pass } = await fixture();
  const wrong = (check: 'writer' | 'reader' | 'node', reason: RegExp): void => {
    const { ready, checks } = readiness.answer();
    assert.equal(ready, false);
    assert.match(checks[check]?.reason ?? '', reason);
  };
  commands.trouble = 'sends have waited for 5 s';
  wrong('writer', /sends have waited/);
  assert.deepEqual(readiness.failing, [commands.trouble]);
  commands.trouble = undefined;
  assert.equal(readiness.answer().ready, true);
  readiness.nodeTrouble = 'this node is shutting down';
  wrong('node', /shutting down/);
  readiness.nodeTrouble = undefined;
  assert.equal(readiness.answer().ready, true);
  world.writer = false;
  await pass(4_000);
  wrong('writer', /not been heard for/);
});

test('G10 ready: not when no reader has answered for 7 s; it is asked on, and ready again when one does', async () => {
  const { world, readiness, pass } = await fixture();
  world.reader = false;
  await pass(5_000);
  assert.equal(readiness.answer().ready, true, 'one lost answer is no trouble');
  await pass(5_000);
  assert.equal(readiness.answer().ready, false);
  assert.match(readiness.answer().checks.reader?.reason ?? '', /^no reader has answered for \d\d? s$/);
  await pass(30_000);
  world.reader = true;
  await pass(2_500);
  assert.equal(readiness.answer().ready, true);
});

for (const moment of ['between two questions', 'while one is on its way'] as const) {
  test(`ready: no reader is asked after an end ${moment}`, async () => {
    const { clock, world, readiness, pass } = await fixture();
    if (moment === 'while one is on its way') {
      const { asked } = world;
      while (world.asked === asked) clock.advance(500);
    }
    readiness.stop();
    const { asked } = world;
    await pass(10_000);
    assert.equal(world.asked, asked);
  });
}
