import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameBudget } from '../../src/gateway/ws/frame-budget.ts';
import { startClient } from '../support/fake-transport.ts';
import { stored } from '../support/server-frames.ts';

const LONG = '€'.repeat(8_000);

test('L5: sends keep below the rate at which the server refuses, be they long, or held up and late', () => {
  const { client, clock, transport } = startClient({ outboxLimit: 3_000 });
  for (let i = 0; i < 3_000; i++) void client.send('bob', i % 4 === 0 ? LONG : `${i}`, { clientId: `c${i}` });
  client.connect();
  const socket = transport.welcome({
    limits: { message_units: 8_000, frame_bytes: 65_536, unanswered: 100_000 },
  });
  const budget = new FrameBudget(clock.now());
  let id = 0;
  // The network holds everything up in the first second, and for three seconds later on.
  for (let tick = 1; client.outbox.length > 0; tick++) {
    assert.ok(tick < 200, `${client.outbox.length} were not sent`);
    clock.advance(100);
    if (tick < 10 || (tick > 20 && tick < 50)) continue;
    for (const frame of socket.take()) {
      if (frame.type !== 'message') continue;
      assert.equal(budget.spend(clock.now(), Buffer.byteLength(JSON.stringify(frame))), 'ok');
      assert.equal(frame.client_id, `c${id}`);
      socket.says(stored(++id, { ...frame, from: 'alice' }));
    }
  }
});

test('L5: a pace that was kept on one socket is not kept on the next, and leaves no timer behind', () => {
  const { client, clock, transport } = startClient();
  for (let i = 0; i < 200; i++) void client.send('bob', LONG);
  client.connect();
  const sent = transport.welcome().take().length;
  assert.ok(sent < 200);
  client.disconnect();
  assert.equal(clock.timers, 0);
  client.connect();
  assert.equal(transport.welcome({ head: 0 }).take().length, sent);
});
