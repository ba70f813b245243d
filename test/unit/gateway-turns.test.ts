import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { LIMITS } from '../../src/contract/limits.ts';
import { Turns } from '../../src/gateway/turns.ts';
import { settle } from '../support/scripted-bus.ts';

const TAKEN = LIMITS.answersAtOnce + LIMITS.requestsWaiting;

class Answer extends EventEmitter {
  closed = false;
  begun = false;

  /** It has left, or its client has. */
  close(): void {
    this.closed = true;
    this.emit('close');
  }
}

test('L10: a user has a few answers under way, others wait until one has left, and what is beyond the line is refused', async () => {
  const turns = new Turns();
  const take = async (user: string): Promise<Answer> => {
    const answer = new Answer();
    turns
      .answer(user, answer as unknown as ServerResponse, async () => {
        answer.begun = true;
      })
      .catch(() => {});
    await settle();
    return answer;
  };
  const begun = (answers: readonly Answer[]): number => answers.filter((answer) => answer.begun).length;
  const ann: Answer[] = [];
  for (let i = 0; i < TAKEN; i++) ann.push(await take('ann'));
  assert.equal(begun(ann), LIMITS.answersAtOnce);
  await assert.rejects(
    turns.answer('ann', new Answer() as unknown as ServerResponse, async () => {}),
    { code: 'rate_limited', retryAfterS: 1 },
  );
  assert.ok((await take('bob')).begun, 'another user does not wait');
  // One that waited, and whose client went away, takes no turn from the others, and is not answered.
  ann[LIMITS.answersAtOnce]?.close();
  ann[0]?.close();
  await settle();
  assert.equal(begun(ann), LIMITS.answersAtOnce + 1);
  assert.equal(ann[LIMITS.answersAtOnce]?.begun, false);
  for (const answer of ann) answer.close();
  await settle();
  assert.ok((await take('ann')).begun);
});

test('L10: a client that goes away keeps its turn until the store has answered: it has no more read at once than one that waits', async () => {
  const turns = new Turns();
  const answers: Answer[] = [];
  const reads: (() => void)[] = [];
  for (let i = 0; i < TAKEN; i++) {
    const answer = new Answer();
    answers.push(answer);
    const read = (): Promise<void> => new Promise((resolve) => reads.push(resolve));
    turns.answer('ann', answer as unknown as ServerResponse, read).catch(() => {});
  }
  await settle();
  for (const answer of answers.slice(0, LIMITS.answersAtOnce)) answer.close();
  await settle();
  assert.equal(reads.length, LIMITS.answersAtOnce);
  reads[0]?.();
  await settle();
  assert.equal(reads.length, LIMITS.answersAtOnce + 1, 'the next one has the turn of the first that is done');
});

test('L10: whoever comes while others of the user have their turn counts with them; a read that fails gives its turn back', async () => {
  const turns = new Turns();
  const reads: { done(): void; fail(): void }[] = [];
  const read = (): void => {
    const work = (): Promise<void> =>
      new Promise((resolve, reject) => reads.push({ done: resolve, fail: () => reject(new Error('no')) }));
    turns.read('ann', work).catch(() => {});
  };
  for (let i = 0; i < LIMITS.answersAtOnce; i++) read();
  await settle();
  reads[0]?.done();
  await settle();
  for (let i = 0; i < LIMITS.answersAtOnce; i++) read();
  await settle();
  assert.equal(reads.length, LIMITS.answersAtOnce + 1, 'one turn was free');
  for (const { fail } of [...reads]) fail();
  await settle();
  assert.equal(reads.length, 2 * LIMITS.answersAtOnce, 'all were');
});

test('G6: of a user who has no turn nothing is kept, whether reading succeeded or not', async () => {
  const turns = new Turns();
  const read = Promise.withResolvers<void>();
  const users = ['ann', ...Array.from({ length: TAKEN }, () => 'bob')];
  const reads = Promise.allSettled(
    users.map((user) =>
      turns.read(user, () => (user === 'ann' ? Promise.reject(new Error('no store')) : read.promise)),
    ),
  );
  await settle();
  assert.equal(turns.users, 1, 'bob reads yet');
  read.resolve();
  assert.deepEqual(
    (await reads).map(({ status }) => status),
    users.map((user) => (user === 'ann' ? 'rejected' : 'fulfilled')),
  );
  assert.equal(turns.users, 0);
});
