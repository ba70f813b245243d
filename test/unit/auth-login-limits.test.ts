import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Attempt, type AttemptCounter, MemoryAttempts } from '../../src/auth/attempts.ts';
import { LoginLimits } from '../../src/auth/login-limits.ts';
import { PrimaryAttempts } from '../../src/cluster/primary-attempts.ts';
import { ParleyError } from '../../src/contract/errors.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { settle } from '../support/scripted-bus.ts';

const WINDOW_MS = 300_000;

function fixture(): { clock: ManualClock; counts: MemoryAttempts; shared: AttemptCounter } {
  const clock = new ManualClock();
  const counts = new MemoryAttempts(clock);
  return { clock, counts, shared: { count: async (attempt) => counts.count(attempt) } };
}

const wrong = async (): Promise<undefined> => undefined;
const right = async (): Promise<true> => true;

/** How an attempt ends: `right`, `wrong`, or the code it is refused with. */
async function outcome(attempt: Promise<true | undefined>): Promise<string> {
  try {
    return (await attempt) ? 'right' : 'wrong';
  } catch (error) {
    return error instanceof ParleyError ? error.code : String(error);
  }
}

test('A6: 300 guesses at a user from as many addresses of one /64 → 10 are checked', async () => {
  const { clock, shared } = fixture();
  const limits = new LoginLimits([shared], clock);
  let checked = 0;
  for (let i = 0; i < 300; i++) {
    const address = `2001:db8:1:2::${i.toString(16)}`;
    await outcome(limits.attempt('ann', address, async () => void checked++));
  }
  assert.equal(checked, 10);
  assert.equal(await outcome(limits.attempt('ann', '2001:db8:1:3::1', right)), 'right');
});

test('A6: gateways that share a counter count together, for registrations too', async () => {
  const { clock, shared } = fixture();
  const gateways = Array.from({ length: 4 }, () => new LoginLimits([shared], clock));
  const outcomes = await Promise.all(
    Array.from({ length: 60 }, (_, i) => outcome(gateways[i % 4]!.attempt('ann', '192.0.2.1', wrong))),
  );
  assert.equal(outcomes.filter((text) => text === 'wrong').length, 10);
  assert.equal(outcomes.filter((text) => text === 'rate_limited').length, 50);
  const registered = await Promise.allSettled(
    Array.from({ length: 150 }, (_, i) => gateways[i % 4]!.register('192.0.2.1')),
  );
  assert.equal(registered.filter(({ status }) => status === 'fulfilled').length, 100);
});

test('A6: who counts for the node is away or takes over a second: the gateway counts for itself, and no longer when it is back', async () => {
  const { clock, shared } = fixture();
  let mode: 'away' | 'silent' | 'back' = 'away';
  const counter: AttemptCounter = {
    count: (attempt) => {
      if (mode === 'away') return Promise.reject(new Error('away'));
      return mode === 'silent' ? new Promise(() => {}) : shared.count(attempt);
    },
  };
  const limits = new LoginLimits([counter], clock);
  for (let i = 0; i < 10; i++)
    assert.equal(await outcome(limits.attempt('ann', '192.0.2.1', wrong)), 'wrong');
  mode = 'silent';
  const refused = outcome(limits.attempt('ann', '192.0.2.1', right));
  // The address, the user and address, and the address given back.
  for (let asked = 0; asked < 3; asked++) {
    await settle();
    clock.advance(1_000);
  }
  assert.equal(await refused, 'rate_limited');
  mode = 'back';
  assert.equal(await outcome(limits.attempt('ann', '192.0.2.1', right)), 'right');
});

test('A6: a window ends 300 s after its first failure, and Retry-After says when', async () => {
  const { clock, shared } = fixture();
  const limits = new LoginLimits([shared], clock);
  for (let i = 0; i < 10; i++) await limits.attempt('ann', '192.0.2.1', wrong);
  clock.advance(100_500);
  await assert.rejects(limits.attempt('ann', '192.0.2.1', right), { code: 'rate_limited', retryAfterS: 200 });
  clock.advance(WINDOW_MS - 100_500);
  for (let i = 0; i < 10; i++)
    assert.equal(await outcome(limits.attempt('ann', '192.0.2.1', wrong)), 'wrong');
  assert.equal(await outcome(limits.attempt('ann', '192.0.2.1', right)), 'rate_limited', 'another one began');
  clock.advance(WINDOW_MS);
  assert.equal(await outcome(limits.attempt('ann', '192.0.2.1', right)), 'right');
});

test('A6: what came to no answer is not a failure; a good login takes the failures back', async () => {
  const { clock, counts, shared } = fixture();
  const limits = new LoginLimits([shared], clock);
  const overloaded = (): Promise<undefined> => Promise.reject(new ParleyError('overloaded'));
  for (let i = 0; i < 200; i++) {
    assert.equal(await outcome(limits.attempt(`user ${i % 5}`, '192.0.2.1', overloaded)), 'overloaded');
  }
  assert.equal(counts.keys, 0);
  for (let i = 0; i < 9; i++) await limits.attempt('ann', '192.0.2.1', wrong);
  assert.equal(await outcome(limits.attempt('ann', '192.0.2.1', right)), 'right');
  for (let i = 0; i < 10; i++)
    assert.equal(await outcome(limits.attempt('ann', '192.0.2.1', wrong)), 'wrong');
});

test('G6: a refused address leaves no key for the names it makes up, and a refused user no failure of the address', async () => {
  const { clock, counts, shared } = fixture();
  let asked = 0;
  const counter: AttemptCounter = {
    count: (attempt) => {
      asked++;
      return shared.count(attempt);
    },
  };
  const limits = new LoginLimits([counter], clock);
  for (let i = 0; i < 500; i++) await outcome(limits.attempt('ann', '192.0.2.1', wrong));
  assert.equal(counts.keys, 2, 'the address has 10 failures, not 500');
  for (let i = 0; i < 500; i++) await outcome(limits.attempt(`user ${i}`, '192.0.2.1', wrong));
  assert.equal(counts.keys, 1 + 1 + 90, 'one of the address, and one for each of 91 names');
  asked = 0;
  await outcome(limits.attempt('another', '192.0.2.1', wrong));
  assert.equal(asked, 1);
});

test('G6: memory holds a bounded number of keys, the newest, and lets go of what has ended', () => {
  const clock = new ManualClock();
  const counts = new MemoryAttempts(clock, 100);
  const take = (key: string): number => counts.count({ do: 'take', limit: 'address', key });
  for (let i = 0; i < 1_000; i++) take(`key ${i}`);
  assert.equal(counts.keys, 100);
  for (let i = 1; i < 100; i++) assert.equal(take('key 999'), 0);
  assert.equal(take('key 999'), WINDOW_MS);
  clock.advance(WINDOW_MS);
  assert.equal(take('key 999'), 0);
  assert.equal(counts.keys, 1);
});

test('G6: a worker asks a primary that does not answer for 1,000 counts at most', async () => {
  const sent: number[] = [];
  const attempts = new PrimaryAttempts((ref) => sent.push(ref));
  const attempt: Attempt = { do: 'take', limit: 'address', key: 'key' };
  const asked = Array.from({ length: 1_000 }, () => attempts.count(attempt));
  await assert.rejects(attempts.count(attempt), /does not answer/);
  for (const ref of sent.splice(0)) attempts.answered(ref, ref);
  assert.deepEqual(
    await Promise.all(asked),
    Array.from({ length: 1_000 }, (_, i) => i + 1),
  );
  const again = attempts.count(attempt);
  attempts.answered(sent[0] as number, 0);
  assert.equal(await again, 0);
});

test('A6: without limits nothing is counted', async () => {
  const limits = new LoginLimits(undefined, new ManualClock());
  for (let i = 0; i < 200; i++)
    assert.equal(await outcome(limits.attempt('ann', '192.0.2.1', wrong)), 'wrong');
});
