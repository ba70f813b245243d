import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { textFrames } from '../../src/gateway/ws/text-frames.ts';
import { freePort } from '../support/ports.ts';

test('frames of every length are what a WebSocket client reads as those texts, in one write and in order', async (t) => {
  const texts = [
    '',
    'a',
    'x'.repeat(125),
    'x'.repeat(126),
    'ü'.repeat(63),
    '😀'.repeat(100),
    'x'.repeat(65_535),
    'x'.repeat(65_536),
    '\u2028'.repeat(30_000),
    'last',
  ];
  const port = await freePort();
  const server = new WebSocketServer({ host: '127.0.0.1', port });
  t.after(() => server.close());
  server.on('connection', (_, request) => request.socket.write(textFrames(texts)));
  const client = new WebSocket(`ws://127.0.0.1:${port}`);
  t.after(() => client.terminate());
  const read: string[] = [];
  client.on('message', (data, isBinary) => {
    assert.equal(isBinary, false);
    read.push(String(data));
    if (read.length === texts.length) client.emit('all');
  });
  await once(client, 'all');
  assert.deepEqual(read, texts);
});
