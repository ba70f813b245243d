import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReplyError } from 'ioredis';
import { RedisRefusals } from '../../src/bus/redis/refusals.ts';
import { ManualClock } from '../support/manual-clock.ts';

test('a command that Redis refuses is trouble until it is taken, or has not been tried for a while', () => {
  const clock = new ManualClock();
  const refusals = new RedisRefusals(clock);
  const full = new ReplyError("OOM command not allowed when used memory > 'maxmemory'.");
  refusals.refused('xadd', full);
  refusals.refused('rpush', full);
  refusals.taken('publish');
  refusals.taken('xadd');
  assert.equal(refusals.trouble, full.message, 'rpush still is');
  refusals.taken('rpush');
  assert.equal(refusals.trouble, undefined);
  refusals.refused('xadd', full);
  clock.advance(14_000);
  assert.equal(refusals.trouble, full.message);
  clock.advance(2_000);
  assert.equal(refusals.trouble, undefined);
});

test('a greeting that an older Redis does not know, a script that is not loaded, a stream that is not there, and a lost connection are no refusals', () => {
  const refusals = new RedisRefusals();
  refusals.refused('client', new ReplyError("ERR unknown subcommand 'SETINFO'. Try CLIENT HELP."));
  refusals.refused('evalsha', new ReplyError('NOSCRIPT No matching script.'));
  refusals.refused('xinfo', new ReplyError('ERR no such key'));
  refusals.refused('ssubscribe', new ReplyError('MOVED 1234 127.0.0.1:7000'));
  refusals.refused('xread', new Error('Connection is closed.'));
  assert.equal(refusals.trouble, undefined);
});
