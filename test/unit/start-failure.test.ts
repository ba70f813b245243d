import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { startFailure } from '../../src/app/fail.ts';

const failureOf = (code: string, syscall: string): Error =>
  Object.assign(new Error(`${syscall} ${code}`), { code, syscall });

test('an address that can not be listened on is told with the setting to change', async (t) => {
  const taken = net.createServer().listen(0, '127.0.0.1');
  t.after(() => taken.close());
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const second = net.createServer().listen(port, '127.0.0.1');
  const [error] = await once(second, 'error');
  const address = { host: '127.0.0.1', port };
  assert.equal(
    startFailure(error, address, 'ADMIN_'),
    `port ${port} on 127.0.0.1 is in use: stop what listens there, or set ADMIN_PORT.`,
  );
  assert.match(startFailure(failureOf('EACCES', 'listen'), { ...address, port: 80 }), /set PORT above 1023/);
  assert.match(startFailure(failureOf('ENOTFOUND', 'getaddrinfo'), address), /^HOST=127\.0\.0\.1 is not/);
});

test('a file that may not be used is not taken for a port that may not', () => {
  const address = { host: '0.0.0.0', port: 8888 };
  assert.equal(startFailure(failureOf('EACCES', 'stat'), address), 'stat EACCES');
});
