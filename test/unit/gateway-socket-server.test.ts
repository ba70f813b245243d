import assert from 'node:assert/strict';
import { createServer, type IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import type { TokenClaims } from '../../src/core/queries.ts';
import { SocketServer, type SocketServerOptions } from '../../src/gateway/ws/socket-server.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { settle } from '../support/scripted-bus.ts';

/** An upgrade whose token is being verified, until `verify`. */
async function fixture() {
  const { promise: verified, resolve } = Promise.withResolvers<TokenClaims>();
  const server = createServer();
  const clock = new ManualClock();
  const gateway = { draining: false, written: '', taken: true };
  const context = {
    get draining() {
      return gateway.draining;
    },
    identities: { open: false, verify: () => verified },
    clock,
    refused() {},
  };
  const sockets = new SocketServer(server, {
    context,
    origins: '*',
    localNamesOnly: false,
    headers: {},
  } as unknown as SocketServerOptions);
  const socket = new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      gateway.written += chunk;
      if (gateway.taken) done();
    },
  });
  const request = {
    method: 'GET',
    url: '/ws',
    httpVersion: '1.1',
    headers: {
      authorization: 'Bearer token',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    },
    headersDistinct: { host: ['x'] },
  } as unknown as IncomingMessage;
  server.emit('upgrade', request, socket, Buffer.alloc(0));
  await settle();
  const verify = async (): Promise<void> => {
    resolve({ user: 'ann', tokenId: 'id', version: 0, expiresAt: 0 });
    await settle();
  };
  return { clock, gateway, sockets, socket, verify };
}

test('G6: a connection that is lost while its upgrade is looked at ends nobody, and becomes no socket', async () => {
  const { sockets, socket, verify } = await fixture();
  socket.destroy(new Error('read ECONNRESET'));
  await settle();
  await verify();
  assert.deepEqual([socket.destroyed, sockets.size], [true, 0]);
});

test('G8: an upgrade whose token is still being verified when a drain begins is refused: the drain would not close its socket', async () => {
  const { gateway, sockets, verify } = await fixture();
  gateway.draining = true;
  await sockets.drain(0, 0);
  await verify();
  assert.match(gateway.written, /^HTTP\/1\.1 503 .*"code":"shutting_down"/s);
  assert.equal(sockets.size, 0);
});

test('L10: a refused upgrade whose client takes nothing of the answer is ended within 40 s', async () => {
  const { clock, gateway, socket, verify } = await fixture();
  Object.assign(gateway, { draining: true, taken: false });
  await verify();
  assert.match(gateway.written, /^HTTP\/1\.1 503 /);
  clock.advance(39_000);
  assert.equal(socket.destroyed, false);
  clock.advance(1_000);
  assert.equal(socket.destroyed, true);
});
