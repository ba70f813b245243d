import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { sleep } from '../../src/base/clock.ts';
import { LIMITS } from '../../src/contract/limits.ts';
import { call, connect, newUser } from '../support/client.ts';
import { RawConnection } from '../support/raw.ts';
import { startNode, temporaryFolder } from '../support/server.ts';

/*
 * One who asks for more than they take, or than others would be left with (rule L10).
 */

const { node, url } = await startNode(
  { after },
  { WORKERS: '1', DATABASE_PATH: `${temporaryFolder({ after })}/chat.db` },
);
const ann = await newUser(url, 'ann');
const bob = await newUser(url, 'bob');

const statuses = (said: string): string[] =>
  [...said.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => status as string);

const writer = await connect(url, 'bob', bob);
for (let i = 0; i < 600; i++) {
  writer.send({ type: 'message', to: 'ann', message: 'x'.repeat(8_000), client_id: `${i}` });
  // A busy client would be slow to read the echoes of all of them at once.
  if (i % 50 === 49) await writer.next((frame) => frame['client_id'] === `${i}`);
}

/** A request for all that a user has. */
function getMessages(user: string, token: string): string {
  const body = JSON.stringify({ user_id: user });
  const head = [
    'POST /get-messages HTTP/1.1',
    'Host: x',
    `Content-Length: ${body.length}`,
    `Authorization: Bearer ${token}`,
  ];
  return [...head, '', body].join('\r\n');
}

/** Begun first and awaited last, since it takes its time: more than kernels hold for one who does not read. */
const unread = { connection: new RawConnection(url), asked: 10, at: performance.now() };
unread.connection.socket.pause();
unread.connection.send(getMessages('ann', ann).repeat(unread.asked));

test('L10: of a hundred requests of one user at once, those beyond the line → 429 rate_limited with Retry-After; the others, and other users, are answered', async () => {
  const asked = 100;
  const request = ['GET /conversations HTTP/1.1', 'Host: x', `Authorization: Bearer ${ann}`];
  const many = Array.from({ length: asked }, () => new RawConnection(url));
  await Promise.all(many.map(({ socket }) => once(socket, 'connect')));
  for (const connection of many) connection.send(...request, 'Connection: close', '', '');
  assert.equal((await call(url, 'GET', '/conversations', { token: bob })).status, 200);
  const answers = await Promise.all(many.map(({ closed }) => closed));
  const refused = answers.filter((said) => statuses(said).includes('429'));
  for (const said of refused) assert.match(said, /Retry-After: 1\r\n[\s\S]*"code":"rate_limited"/);
  assert.ok(refused.length > 0, 'none was refused');
  assert.deepEqual(new Set(answers.flatMap(statuses)), new Set(['200', '429']));
  assert.equal((await call(url, 'GET', '/conversations', { token: ann })).status, 200);
});

test('L10: requests sent ahead on one connection are answered in order, all of them; who sends too many is cut off', async () => {
  const ahead = 100;
  const id = (i: number): string => `X-Request-Id: r${i}`;
  const request = (i: number): string =>
    ['GET /conversations HTTP/1.1', 'Host: x', `Authorization: Bearer ${ann}`, id(i), '', ''].join('\r\n');
  const many = new RawConnection(url);
  many.send(Array.from({ length: ahead }, (_, i) => request(i)).join(''));
  many.send('GET /livez HTTP/1.1', 'Host: x', 'Connection: close', '', '');
  const said = await many.closed;
  assert.deepEqual(new Set(statuses(said)), new Set(['200']));
  const ids = [...said.matchAll(/X-Request-Id: r(\d+)/g)].map(([, n]) => Number(n));
  assert.deepEqual(ids, [...Array(ahead).keys()]);
  const greedy = new RawConnection(url);
  greedy.send(Array.from({ length: 10 * ahead }, (_, i) => request(i)).join(''));
  assert.ok(statuses(await greedy.closed).length < ahead);
});

test('L10: a request that waits behind answers that are not taken gets its own, however late', {
  timeout: 90_000,
}, async () => {
  for (let i = 0; i < LIMITS.answersAtOnce; i++) {
    const stuck = new RawConnection(url);
    stuck.socket.pause();
    stuck.send(getMessages('bob', bob).repeat(unread.asked));
  }
  await sleep(5_000);
  const waiting = new RawConnection(url);
  const begun = performance.now();
  waiting.send('GET /users HTTP/1.1', 'Host: x', `Authorization: Bearer ${bob}`, 'Connection: close', '', '');
  assert.deepEqual(statuses(await waiting.closed), ['200']);
  assert.ok(performance.now() - begun > LIMITS.answerMs / 2, 'it did not wait');
});

test('L10: a connection whose client takes nothing is ended within 40 s; sockets that are silent are not', {
  timeout: 90_000,
}, async () => {
  await sleep(LIMITS.answerMs + 7_000 - (performance.now() - unread.at));
  unread.connection.socket.resume();
  const answered = statuses(await unread.connection.closed).length;
  assert.ok(answered > 0 && answered < unread.asked, `${answered} answers`);
  writer.send({ type: 'message', to: 'ann', message: 'still here', client_id: 'here' });
  await writer.next((frame) => frame['client_id'] === 'here');
  writer.close();
  assert.deepEqual(node.events('worker_ended'), []);
});
