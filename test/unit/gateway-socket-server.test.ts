import assert from 'node:assert/strict';
import { createServer, type IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import type { TokenClaims } from '../../src/core/queries.ts';
import { SocketServer, type SocketServerOptions } from '../../src/gateway/ws/socket-server.ts';
import { settle } from '../support/scripted-bus.ts';

test('G6: a connection that is lost while its upgrade is looked at ends nobody, and becomes no socket', async () => {
  const { promise: verified, resolve: verify } = Promise.withResolvers<TokenClaims>();
  const server = createServer();
  const sockets = new SocketServer(server, {
    context: { draining: false, identities: { open: false, verify: () => verified } },
    origins: '*',
    localNamesOnly: false,
    headers: {},
  } as unknown as SocketServerOptions);
  const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const request = {
    method: 'GET',
    url: '/ws',
    httpVersion: '1.1',
    headers: { authorization: 'Bearer token' },
    headersDistinct: { host: ['x'] },
  } as unknown as IncomingMessage;
  server.emit('upgrade', request, socket, Buffer.alloc(0));
  socket.destroy(new Error('read ECONNRESET'));
  await settle();
  verify({ user: 'ann', tokenId: 'id', version: 0, expiresAt: 0 });
  await settle();
  assert.deepEqual([socket.destroyed, sockets.size], [true, 0]);
});
