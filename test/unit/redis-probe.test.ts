import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { probeRedis } from '../../src/bus/redis-connection.ts';

test('a Redis that takes the connection and never answers is found out within 4 s at the start', async (t) => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket.on('error', () => {})));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  const began = performance.now();
  await assert.rejects(probeRedis(`redis://127.0.0.1:${port}`), /^Error: no answer within 3 s$/);
  assert.ok(performance.now() - began < 4_000);
});
