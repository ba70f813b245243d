import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ListenOptions } from 'node:net';
import { type TestContext, test } from 'node:test';
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

test('a port that was asked for is looked at, and not kept', async (t) => {
  const { port, release } = await reservePort(host, await freePort());
  await listen(t, { port });
  release();
  await assert.rejects(reservePort(host, port), { code: 'EADDRINUSE' });
});
