import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type ListenOptions } from 'node:net';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { sleep, systemClock } from '../../src/base/clock.ts';
import { kernelBalances, reservePort } from '../../src/cluster/listen-address.ts';
import { freePort } from '../support/ports.ts';

const host = '127.0.0.1';

async function listen(t: TestContext, options: ListenOptions): Promise<void> {
  const server = createServer().listen({ host, ...options });
  await once(server, 'listening');
  t.after(() => server.close());
}

test('a port that was chosen is kept from others until a gateway listens, which it is not kept from', {
  skip: !kernelBalances,
}, async (t) => {
  const { port, release } = await reservePort(host, 0);
  await assert.rejects(listen(t, { port }), { code: 'EADDRINUSE' });
  await listen(t, { port, reusePort: true });
  release();
  release();
  await assert.rejects(listen(t, { port }), { code: 'EADDRINUSE' });
});

test('once the gateways listen on a port that was chosen, every client reaches one of them', {
  skip: !kernelBalances,
}, async (t) => {
  const { port, release } = await reservePort(host, 0);
  const gateway = createServer((socket) => socket.end('hello')).listen({ host, port, reusePort: true });
  await once(gateway, 'listening');
  t.after(() => gateway.close());
  release();
  for (let i = 0; i < 30; i++) {
    assert.equal(await text(connect({ host, port })), 'hello');
  }
});

test('a port that was asked for is looked at, and not kept', async (t) => {
  const { port, release } = await reservePort(host, await freePort());
  await listen(t, { port });
  release();
  await assert.rejects(reservePort(host, port), { code: 'EADDRINUSE' });
});

// Both found the port free, and shared it: each got half of the other's clients, for ever.
test('of two nodes that start at once on one port, the second looks when a gateway of the first listens', {
  skip: !kernelBalances,
}, async (t) => {
  const port = await freePort();
  const first = await reservePort(host, port);
  const second = reservePort(host, port);
  const looked = second.then(
    () => 'took it',
    (error) => error.code,
  );
  assert.equal(await Promise.race([looked, sleep(200).then(() => 'waits')]), 'waits');
  await listen(t, { port, reusePort: true });
  first.release();
  assert.equal(await looked, 'EADDRINUSE');
});

test('a node that could not have its port leaves it to the next', async (t) => {
  const port = await freePort();
  const taken = createServer().listen({ host, port });
  await once(taken, 'listening');
  t.after(() => taken.close());
  await assert.rejects(reservePort(host, port), { code: 'EADDRINUSE' });
  taken.close();
  await once(taken, 'close');
  let now = 0;
  const { mock } = t.mock.method(systemClock, 'steady', () => (now += 60_000));
  (await reservePort(host, port)).release();
  assert.ok(mock.callCount() <= 1, 'it had to wait for its turn, until that was over');
});
