import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drainDeadlines, gatewayDrain } from '../../src/app/drain-times.ts';

test('G8 drain: whatever SHUTDOWN_TIMEOUT_MS is, a gateway has told its clients before it is killed, and the store has time left', () => {
  for (const timeoutMs of [0, 1, 500, 2_000, 4_000, 6_000, 10_000, 60_000, 3_600_000]) {
    const { gateways, all } = drainDeadlines(timeoutMs);
    assert.ok(
      all === Math.max(timeoutMs, 1_000) && all - gateways >= 250,
      `${timeoutMs}: ${gateways} of ${all}`,
    );
    for (const watched of [false, true]) {
      const { noticeMs, patienceMs, lastAnswersMs } = gatewayDrain(timeoutMs, watched);
      const left = gateways - noticeMs - patienceMs - lastAnswersMs;
      assert.ok(
        noticeMs >= 0 && patienceMs > 0 && lastAnswersMs > 0 && left > 100,
        `${timeoutMs}: ${left} ms left`,
      );
    }
  }
  assert.deepEqual(gatewayDrain(10_000, true), { noticeMs: 1_500, patienceMs: 4_250, lastAnswersMs: 1_000 });
  assert.equal(gatewayDrain(10_000, false).noticeMs, 0, 'where nobody watches, nobody is waited for');
});
