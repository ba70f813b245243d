import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../src/contract/limits.ts';
import { PendingShares } from '../../src/gateway/pending-shares.ts';

test('L5, G6: a user has 5,000 sends and read markers unanswered at a gateway, whatever others have; one that is answered makes room', () => {
  const shares = new PendingShares();
  for (let i = 0; i < 2_500; i++) assert.ok(shares.take('ann', 1) && shares.take('ann', 0));
  assert.equal(shares.take('ann', 0), false);
  assert.equal(shares.take('bob', 0), true);
  shares.settled('ann', 0);
  assert.deepEqual([shares.take('ann', 0), shares.take('ann', 0)], [true, false]);
});

test('L5, G6: a user has texts of 8 Mi UTF-16 units unanswered at a gateway, as much as one socket may send; what is refused does not count', () => {
  const shares = new PendingShares();
  let taken = 0;
  while (shares.take('ann', LIMITS.messageUnits)) taken++;
  assert.equal(taken, Math.floor((8 * 1024 * 1024) / LIMITS.messageUnits));
  assert.ok(taken >= LIMITS.unansweredPerSocket);
  const left = LIMITS.unansweredUnitsPerUser - taken * LIMITS.messageUnits;
  assert.equal(shares.take('ann', left + 1), false);
  assert.equal(shares.take('ann', left), true);
  assert.equal(shares.take('ann', 1), false);
  shares.settled('ann', left);
  assert.equal(shares.take('ann', left), true, 'one that is answered makes room');
  assert.equal(shares.take('ann', 1), false);
});

test('G6: of a user who has nothing unanswered nothing is kept', () => {
  const shares = new PendingShares();
  for (const user of ['ann', 'ann', 'bob']) assert.ok(shares.take(user, 1));
  shares.settled('ann', 1);
  assert.equal(shares.users, 2, 'ann has one yet');
  shares.settled('ann', 1);
  shares.settled('bob', 1);
  assert.equal(shares.users, 0);
  assert.equal(shares.take('eve', LIMITS.unansweredUnitsPerUser + 1), false);
  assert.equal(shares.users, 0, 'nor of one whose only one was refused');
});
