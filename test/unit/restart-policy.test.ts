import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RestartPolicy } from '../../src/cluster/restart-policy.ts';

test('G8 restart: the first end costs no time, then the pause doubles to a bound', () => {
  const policy = new RestartPolicy();
  const delays = Array.from({ length: 10 }, () => policy.ended(0).delayMs);
  assert.deepEqual(delays, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
});

test('G8 restart: five short lives in a row are a crash loop', () => {
  const policy = new RestartPolicy();
  const looping = Array.from({ length: 6 }, () => policy.ended(4_999).looping);
  assert.deepEqual(looping, [false, false, false, false, true, true]);
});

test('G8 restart: a worker that was well starts the count anew, and is replaced at once', () => {
  const policy = new RestartPolicy();
  for (let i = 0; i < 20; i++) policy.ended(0);
  assert.deepEqual(policy.ended(5_000), { delayMs: 0, looping: false });
  assert.deepEqual(policy.ended(0), { delayMs: 0, looping: false });
  assert.deepEqual(policy.ended(0), { delayMs: 100, looping: false });
});
