import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { sleep } from '../../src/base/clock.ts';
import { LIMITS } from '../../src/contract/limits.ts';
import { call, connect, newUser } from '../support/client.ts';
import { RawConnection } from '../support/raw.ts';
import { startNode, temporaryFolder } from '../support/server.ts';

/*
 * One who asks for more than they take, or than others would be left with (rule L10).
 */

const { node, url } = await startNode({ after }, { DATABASE_PATH: `${temporaryFolder({ after })}/chat.db` });
const ann = await newUser(url, 'ann');
const bob = await newUser(url, 'bob');

const statuses = (said: string): string[] =>
  [...said.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => status as string);

/** Begun first and awaited last, since it takes its time. */
const unread = { connection: new RawConnection(url), asked: 1_000, at: performance.now() };
unread.connection.socket.pause();
unread.connection.send('GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(unread.asked));

test('L10: of a hundred requests of one user at once, those beyond the line → 429 rate_limited with Retry-After; the others are answered, in order', async () => {
  const asked = 100;
  const many = new RawConnection(url);
  const request = `GET /conversations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ann}\r\n`;
  many.send(`${request}\r\n`.repeat(asked - 1), `${request}Connection: close\r\n\r\n`);
  const others = await call(url, 'GET', '/conversations', { token: bob });
  assert.equal(others.status, 200);
  const said = await many.closed;
  const taken = LIMITS.answersAtOnce + LIMITS.requestsWaiting;
  assert.deepEqual(
    statuses(said),
    Array.from({ length: asked }, (_, i) => (i < taken ? '200' : '429')),
  );
  assert.match(said, /Retry-After: 1\r\n/);
  assert.match(said, /"code":"rate_limited"/);
  assert.equal((await call(url, 'GET', '/conversations', { token: ann })).status, 200);
});

test('L10: a connection whose client takes nothing for 30 s is ended; sockets that are silent are not', {
  timeout: 60_000,
}, async () => {
  const socket = await connect(url, 'bob', bob);
  await sleep(LIMITS.answerMs + 3_000 - (performance.now() - unread.at));
  unread.connection.socket.resume();
  const answered = statuses(await unread.connection.closed).length;
  assert.ok(answered > 0 && answered < unread.asked, `${answered} answers`);
  socket.send({ type: 'message', to: 'ann', message: 'still here', client_id: 'here' });
  await socket.next((frame) => frame['client_id'] === 'here');
  socket.close();
  assert.deepEqual(node.events('worker_ended'), []);
});
