import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { listen } from '../../src/base/listen.ts';

async function listening(t: TestContext, onError: (error: Error) => void) {
  const server = createServer((socket) => socket.end('hello'));
  t.after(() => server.close());
  await listen(server, { host: '127.0.0.1', port: 0 }, onError);
  return { server, port: (server.address() as AddressInfo).port };
}

test('listen: whatever errors follow are told, each of them, and the server goes on', async (t) => {
  const told: string[] = [];
  const { server, port } = await listening(t, ({ message }) => told.push(message));
  for (const message of ['accept ENETDOWN', 'accept ENFILE']) server.emit('error', new Error(message));
  assert.deepEqual(told, ['accept ENETDOWN', 'accept ENFILE']);
  const [data] = await once(connect(port, '127.0.0.1'), 'data');
  assert.equal(String(data), 'hello');
});

test('listen: an address that is in use is an error of the start, and is not told as a later one', async (t) => {
  const { port } = await listening(t, assert.fail);
  const second = createServer();
  await assert.rejects(listen(second, { host: '127.0.0.1', port }, assert.fail), { code: 'EADDRINUSE' });
});
