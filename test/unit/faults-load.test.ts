import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { check, type Verdict, type ViolationClass } from '../faults/checker.ts';
import { History } from '../faults/history.ts';
import { Load } from '../faults/load.ts';
import { createRandom } from '../faults/random.ts';
import { StandIn, type Wrong } from '../faults/stand-in.ts';
import { until } from '../support/wait.ts';

/** A short load against the stand-in, which does `wrong` and drops every connection once. */
async function run(wrong: Wrong | undefined, seed: number): Promise<Verdict> {
  const server = new StandIn();
  const ports = await server.start(2);
  const history = new History();
  const accounts = Array.from({ length: 8 }, (_, i) => ({ user: `user-${i}`, token: 't' }));
  const load = new Load({
    accounts,
    random: createRandom(seed),
    history,
    ports: () => ports,
    peek: (id) => server.has(id),
  });
  try {
    load.start();
    await sleep(200);
    server.wrong = wrong;
    load.aim(600, 600);
    await sleep(500);
    server.dropAll();
    await sleep(900);
    // On a busy machine they take longer to come back, and some wrongs are done to those who do.
    await until(() => load.devices.every(({ caughtUp }) => caughtUp), 3_000);
    if (wrong !== 'loses the end of the stream') server.wrong = undefined;
    await load.quiesce(2_500, () => new Map());
    return check(history.events, server.rows());
  } finally {
    load.stop();
    server.stop();
  }
}

test('a right server passes: nothing is found, and there was something to find it in', {
  concurrency: false,
}, async () => {
  const verdict = await run(undefined, 1);
  assert.ok(verdict.ok, JSON.stringify(verdict.samples, null, 1));
  const { totals } = verdict;
  assert.ok(totals.sends >= 500 && totals.acknowledged === totals.sends, JSON.stringify(totals));
  assert.ok(
    totals.delivered > totals.sends && totals.resumes >= 5 && totals.peeked > 50,
    JSON.stringify(totals),
  );
  assert.ok(totals.repeats > 0, JSON.stringify(totals));
});

const EXPECTED: Record<Wrong, ViolationClass> = {
  'acknowledges without storing': 'lost',
  'delivers before storing': 'early',
  'forgets client ids': 'duplicate',
  'leaves out a live message': 'hole',
  'leaves out a message of a page': 'hole',
  'loses the end of the stream': 'hole',
  'delivers twice': 'duplicate',
  'swaps two messages': 'reordered',
  'delivers to everybody': 'misdelivered',
  'changes the text': 'lost',
  'refuses a valid send': 'refused',
  'never answers': 'unsettled',
  'takes a client for one of another past': 'resync',
};

test('a server with one wrong is found out', { concurrency: 4 }, async (t) => {
  const wrongs = Object.entries(EXPECTED) as [Wrong, ViolationClass][];
  await Promise.all(
    wrongs.map(([wrong, found]) =>
      t.test(`${wrong}: ${found}`, async () => {
        // On a busy machine a short load may not bring the moment in which the wrong can be done: it is tried again.
        let verdict = await run(wrong, 7);
        for (const seed of [8, 9]) if (verdict.counts[found] === 0) verdict = await run(wrong, seed);
        const { counts, totals } = verdict;
        assert.ok(counts[found] > 0, JSON.stringify({ counts, totals }));
      }),
    ),
  );
});
