import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DatabaseIdentity, LeaseAnswer, Leaser } from '../../src/core/lease.ts';

export type LeaserFixture = {
  /** A store of its own, as another process would be. */
  leaser(holder: string): Leaser;
};

export const identity = (more: Partial<DatabaseIdentity> = {}): DatabaseIdentity => ({
  databaseId: 'db',
  epoch: 'e',
  generation: 1,
  transactions: 0,
  ...more,
});
export const kindOf = async (answer: Promise<{ kind: string }>): Promise<string> => (await answer).kind;

/** Asks for the lease, as a store does, until it is told what it is. */
export async function acquire(leaser: Leaser, mine: DatabaseIdentity | undefined): Promise<LeaseAnswer> {
  for (;;) {
    const answer = await leaser.acquire(mine);
    if (answer.kind !== 'undecided') return answer;
    await sleep(50);
  }
}

/** What every lease promises (src/core/lease.ts). */
export function leaserSuite(name: string, createFixture: () => Promise<LeaserFixture>): void {
  const fixtureTest = (title: string, body: (fixture: LeaserFixture) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => body(await createFixture()));
  };

  fixtureTest(
    'G7 one writer: the first who asks holds it, the others are told that it is taken, and by whom',
    async (fixture) => {
      const [one, two] = [fixture.leaser('one'), fixture.leaser('two')];
      assert.equal(await kindOf(acquire(one, undefined)), 'held');
      assert.equal(await kindOf(one.acquire(identity())), 'held', 'asking again is harmless');
      assert.equal(await kindOf(one.renew(identity())), 'held');
      const answer = await two.acquire(identity());
      assert.equal(answer.kind, 'taken');
      assert.ok(answer.kind === 'taken' && answer.holder.length > 0);
      await two.release();
      assert.equal(
        await kindOf(two.acquire(identity())),
        'taken',
        "releasing what one has not is not releasing another's",
      );
      await one.release();
    },
  );

  fixtureTest(
    'G7 one writer: released, it goes to who asks next, and then it is taken for the first',
    async (fixture) => {
      const [one, two] = [fixture.leaser('one'), fixture.leaser('two')];
      await acquire(one, identity());
      await one.renew(identity());
      await one.release();
      await one.release();
      assert.equal(await kindOf(two.acquire(identity())), 'held');
      assert.equal(await kindOf(one.acquire(identity())), 'taken');
      await two.release();
    },
  );

  fixtureTest('G7 one writer: of many who ask at once, one holds it', async (fixture) => {
    const leasers = Array.from({ length: 8 }, (_, i) => fixture.leaser(`${i}`));
    const kinds = await Promise.all(
      leasers.map(async (leaser) => {
        const { kind } = await acquire(leaser, identity());
        if (kind === 'held') await leaser.renew(identity());
        return kind;
      }),
    );
    assert.equal(kinds.filter((kind) => kind === 'held').length, 1);
    assert.equal(kinds.filter((kind) => kind === 'taken').length, 7);
    for (const leaser of leasers) await leaser.release();
  });
}
