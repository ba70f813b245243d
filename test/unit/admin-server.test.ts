import assert from 'node:assert/strict';
import { test } from 'node:test';
import { http } from '../../src/base/node-http.ts';
import { type AdminHandler, AdminServer, text } from '../../src/ops/admin-server.ts';

test('the admin port: a page that fails is a 500 that the log explains, and the others go on; who asks for none is told which there are', async (t) => {
  const broken = new Error('no space left');
  let done = 0;
  const routes = new Map<string, AdminHandler>([
    ['GET /metrics', () => text(200, 'all is well\n')],
    ['GET /broken', () => Promise.reject(broken)],
    ['GET /admin/assets/index-1.js', () => text(200, '')],
    [
      'POST /backup',
      ({ searchParams }) => {
        done++;
        return text(200, `${searchParams.get('file')}\n`);
      },
    ],
  ]);
  const errors: unknown[] = [];
  // It listens as long as its process lives, which here is longer than the test.
  const created = t.mock.method(http, 'createServer');
  t.after(() => created.mock.calls[0]?.result?.close());
  const server = new AdminServer(routes, false, (error) => errors.push(error));
  const url = `http://127.0.0.1:${await server.listen('127.0.0.1', 0)}`;
  const ask = async (path: string, init?: RequestInit): Promise<[number, string]> => {
    const answer = await fetch(url + path, init);
    return [answer.status, (await answer.text()).trim()];
  };
  assert.deepEqual(await ask('/broken'), [500, '{"error":"Something went wrong; the log tells more."}']);
  assert.deepEqual(errors, [broken]);
  assert.deepEqual(await ask('/metrics'), [200, 'all is well']);
  const none = '{"error":"There is: GET /metrics, GET /broken, POST /backup."}';
  assert.deepEqual(await ask('/metric'), [404, none]);
  const post = { method: 'POST' };
  assert.deepEqual(await ask('/backup?file=a.db', post), [200, 'a.db']);
  const page = { ...post, headers: { Origin: 'https://elsewhere.example' } };
  assert.deepEqual([(await ask('/backup?file=b.db', page))[0], done], [403, 1]);
});
