import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { UntakenAnswers } from '../../src/gateway/http/untaken-answers.ts';
import { RawConnection } from '../support/raw.ts';
import { waitFor } from '../support/wait.ts';

/** More than kernels hold for one who does not read. */
const ANSWER = Buffer.alloc(16 * 1024 * 1024, 'x');

let cutOff = 0;
/** Room for three of them: one that is taken, beside two that are not. */
const untaken = new UntakenAnswers(3.5 * ANSWER.length, () => cutOff++);
const server = createServer((_, response) => {
  untaken.watch(response);
  response.end(ANSWER);
}).listen(0, '127.0.0.1');
await once(server, 'listening');
after(() => server.closeAllConnections());
after(() => server.close());
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

/** Asks, and takes nothing after the first bytes. */
async function begin(): Promise<RawConnection> {
  const connection = new RawConnection(url);
  connection.send('GET / HTTP/1.1', 'Host: x', 'Connection: close', '', '');
  await once(connection.socket, 'data');
  connection.socket.pause();
  return connection;
}

/** @returns bytes of the answer that arrived */
async function take(connection: RawConnection): Promise<number> {
  connection.socket.resume();
  return (await connection.closed).split('\r\n\r\n')[1]?.length ?? 0;
}

test('G6, L10: of answers that are not taken, those beyond the bound cost the oldest; who takes theirs has all of it', async () => {
  const slow: RawConnection[] = [];
  for (let i = 0; i < 4; i++) {
    slow.push(await begin());
    assert.equal(await take(await begin()), ANSWER.length, 'of a quick one');
  }
  await waitFor(
    () => cutOff > 0,
    2_000,
    () => 'none was cut off',
  );
  const taken = await Promise.all(slow.map(take));
  const whole = taken.filter((bytes) => bytes === ANSWER.length).length;
  assert.deepEqual([whole, cutOff], [2, 2]);
  assert.deepEqual(taken.slice(-whole), [ANSWER.length, ANSWER.length], 'the newest');
  // What has left is not counted any more.
  const before = cutOff;
  for (let i = 0; i < 3; i++) assert.equal(await take(await begin()), ANSWER.length);
  assert.equal(cutOff, before);
});
