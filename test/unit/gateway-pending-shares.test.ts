import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../src/contract/limits.ts';
import type { Command } from '../../src/core/commands.ts';
import { PendingShares } from '../../src/gateway/pending-shares.ts';

const send = (text: string): Command => ({ kind: 'send', from: 'ann', to: 'bob', text, clientId: 'c' });

test('L5, G6: a user has 5,000 sends and read markers unanswered at a gateway, whatever others have; one that is answered makes room', () => {
  const shares = new PendingShares();
  const mark: Command = { kind: 'mark-read', user: 'ann', peer: 'bob', id: 1 };
  for (let i = 0; i < 2_500; i++) assert.ok(shares.take('ann', send('x')) && shares.take('ann', mark));
  assert.equal(shares.take('ann', mark), false);
  assert.equal(shares.take('bob', mark), true);
  shares.settled('ann', mark);
  assert.deepEqual([shares.take('ann', mark), shares.take('ann', mark)], [true, false]);
});

test('L5, G6: a user has texts of 8 Mi UTF-16 units unanswered at a gateway, as much as one socket may send; what is refused does not count', () => {
  const shares = new PendingShares();
  const long = send('x'.repeat(LIMITS.messageUnits));
  let taken = 0;
  while (shares.take('ann', long)) taken++;
  assert.equal(taken, Math.floor((8 * 1024 * 1024) / LIMITS.messageUnits));
  assert.ok(taken >= LIMITS.unansweredPerSocket);
  const left = LIMITS.unansweredUnitsPerUser - taken * LIMITS.messageUnits;
  assert.equal(shares.take('ann', send('x'.repeat(left + 1))), false);
  assert.equal(shares.take('ann', send('x'.repeat(left))), true);
  assert.equal(shares.take('ann', send('x')), false);
});
