import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { type TestContext, test } from 'node:test';
import { createClient, type HttpRequest, type Session } from '../../src/client/index.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { connected } from '../support/server-frames.ts';

type Reply = { status?: number; headers?: object; body: unknown };
type Seen = {
  method?: string | undefined;
  url?: string | undefined;
  authorization?: string | undefined;
  body: unknown;
};

async function start(t: TestContext, session: Session | undefined, ...replies: Reply[]) {
  const seen: Seen[] = [];
  const answer = (request: IncomingMessage, body: string): Reply => {
    const { method, url, headers } = request;
    seen.push({
      method,
      url,
      authorization: headers.authorization,
      body: body === '' ? null : JSON.parse(body),
    });
    return replies.shift() ?? { body: {} };
  };
  const server = await ScriptedServer.start(answer);
  const clock = new ManualClock();
  const client = createClient({ url: server.url, session, clock });
  t.after(async () => {
    client.close();
    await server.stop();
  });
  return { client, clock, server, seen };
}

const ALICE = { user_id: 'alice', token: 't1' };

test('H4, H5: registers and logs in', async (t) => {
  const expires_at = '2026-03-01T00:00:00Z';
  const { client, seen } = await start(
    t,
    undefined,
    { body: { message: 'User registered successfully.' } },
    { body: { message: 'Login successful.', token: 'abc', expires_at } },
  );
  const sessions: unknown[] = [];
  client.on('session', ({ session }) => sessions.push(session));
  await client.register('alice', 'pw');
  assert.deepEqual(await client.login('alice', 'pw'), { user_id: 'alice', token: 'abc', expires_at });
  assert.deepEqual(client.session, { user_id: 'alice', token: 'abc', expires_at });
  assert.deepEqual(sessions, [client.session]);
  assert.deepEqual(
    seen.map(({ method, url, body }) => [method, url, body]),
    [
      ['POST', '/register', { user_id: 'alice', password: 'pw' }],
      ['POST', '/login', { user_id: 'alice', password: 'pw' }],
    ],
  );
});

test('H2: errors are told apart by code, by sentence where an open server gives no code, and by status', async (t) => {
  const cases: [Reply, string, boolean][] = [
    [{ status: 409, body: { error: 'User ID already exists.' } }, 'user_exists', false],
    [
      { status: 401, body: { error: 'Invalid credentials.', code: 'invalid_credentials' } },
      'invalid_credentials',
      false,
    ],
    [{ status: 400, body: { error: 'x', code: 'invalid_user_id' } }, 'invalid_user_id', false],
    [{ status: 502, body: '<html>Bad gateway</html>' }, 'unavailable', true],
    [{ status: 500, body: { error: 'x', code: 'of a later version' } }, 'unavailable', true],
    [{ status: 429, body: '<html>Slow down</html>' }, 'rate_limited', true],
    [{ status: 413, body: '<html>Too large</html>' }, 'request_too_large', false],
    [{ status: 404, body: '<html>Not here</html>' }, 'not_found', false],
    [{ status: 418, body: '<html>A teapot</html>' }, 'invalid_request', false],
    [{ status: 300, body: '<html>Choose</html>' }, 'bad_answer', false],
    [{ status: 200, body: '<html>a captive portal</html>' }, 'bad_answer', false],
    [{ status: 200, body: 'null' }, 'bad_answer', false],
    [{ status: 200, body: '5' }, 'bad_answer', false],
  ];
  for (const [reply, code, retryable] of cases) {
    const { client } = await start(t, undefined, reply);
    await assert.rejects(client.register('alice', 'pw'), { name: 'ClientError', code, retryable });
  }
});

test('A6: Retry-After is told in milliseconds, unless it is not there, or a date', async (t) => {
  for (const [headers, retryAfterMs] of [
    [{ 'Retry-After': '7' }, 7_000],
    [{}, undefined],
    [{ 'Retry-After': 'Sun, 01 Mar 2026 00:00:00 GMT' }, undefined],
  ] as const) {
    const reply = { status: 429, headers, body: { error: 'slow', code: 'rate_limited' } };
    const { client } = await start(t, undefined, reply);
    await assert.rejects(client.login('alice', 'pw'), { code: 'rate_limited', retryAfterMs });
  }
});

test('H8, H9, H10: reads with the token, and names the user for an open server', async (t) => {
  const { client, seen } = await start(
    t,
    ALICE,
    { body: { conversations: [], next_before: null } },
    { body: { messages: [], next_before: 12 } },
    { body: { users: ['bob'] } },
  );
  await client.conversations({ limit: 5 });
  assert.equal((await client.history('b&b', { before: 40 })).next_before, 12);
  assert.deepEqual(await client.searchUsers('b o', { limit: 3 }), ['bob']);
  assert.deepEqual(
    seen.map(({ url, authorization }) => [url, authorization]),
    [
      ['/conversations?user_id=alice&limit=5', 'Bearer t1'],
      ['/history?user_id=alice&before=40&with=b%26b', 'Bearer t1'],
      ['/users?user_id=alice&prefix=b+o&limit=3', 'Bearer t1'],
    ],
  );
});

test('an answer of something else than a Parley is a bad answer: no empty page, no account and no session', async (t) => {
  const other = { body: { status: 'ok' } };
  const { client } = await start(t, ALICE, other, other, other, other, other, other);
  for (const ask of [
    () => client.register('bob', 'pw'),
    () => client.login('bob', 'pw'),
    () => client.changePassword('pw', 'new'),
    () => client.conversations(),
    () => client.history('bob'),
    () => client.searchUsers('b'),
  ])
    await assert.rejects(ask, { code: 'bad_answer', retryable: false });
  assert.deepEqual(client.session, ALICE);
});

test('without a session nothing is asked', async (t) => {
  const { client, seen } = await start(t, undefined);
  await assert.rejects(client.history('bob'), { code: 'no_session' });
  assert.deepEqual(seen, []);
});

test('A3: an answer that the token is over ends the session', async (t) => {
  const { client } = await start(t, ALICE, { status: 401, body: { error: 'over', code: 'token_revoked' } });
  const ends: unknown[] = [];
  client.on('session', ({ session, because }) => ends.push([session, because?.code]));
  await assert.rejects(client.conversations(), { code: 'token_revoked' });
  assert.deepEqual(ends, [[null, 'token_revoked']]);
});

for (const [where, options, everywhere] of [
  ['here, unless told otherwise', undefined, false],
  ['everywhere', { everywhere: true }, true],
] as const) {
  test(`A5: logs out ${where}`, async (t) => {
    const { client, seen } = await start(t, ALICE, { body: { message: 'Logged out.' } });
    await client.logout(options);
    assert.deepEqual(seen, [
      { method: 'POST', url: '/logout', authorization: 'Bearer t1', body: { user_id: 'alice', everywhere } },
    ]);
    assert.deepEqual([client.session, client.cursor, client.outbox], [null, null, []]);
    assert.equal(client.state.name, 'idle');
  });
}

test('A5: after a password change the connection goes on with the new token', async (t) => {
  const { client, clock, server } = await start(t, ALICE, {
    body: { message: 'Password changed.', token: 't2' },
  });
  const names: string[] = [];
  client.on('state', ({ name }) => names.push(name));
  client.connect();
  const first = await server.socket();
  await first.frameOf('connect');
  first.send(connected());
  await client.online();
  assert.deepEqual(await client.changePassword('old', 'new'), { user_id: 'alice', token: 't2' });
  // All of the user's tokens have ended, and this socket was opened with one of them.
  const waiting = new Promise<void>((resolve) =>
    client.on('state', ({ name }) => name === 'waiting' && resolve()),
  );
  first.send({ type: 'closing', code: 'token_revoked', error: 'revoked', reconnect_after_ms: null });
  first.close(4401);
  await waiting;
  clock.advance(1_000);
  assert.equal((await (await server.socket()).frameOf('connect')).token, 't2');
  assert.ok(!names.includes('stopped'));
});

test('no answer in time, and no server at all', async (t) => {
  const { client, server } = await start(t, ALICE);
  await server.stop();
  await assert.rejects(client.conversations(), { code: 'network', retryable: true });

  for (const [requestTimeoutMs, ms] of [
    [undefined, 15_000],
    [60_000, 60_000],
  ] as const) {
    const clock = new ManualClock();
    const hangs = createClient({
      url: 'http://chat.test',
      session: ALICE,
      clock,
      requestTimeoutMs,
      transport: {
        open: () => ({ send: () => {}, close: () => {} }),
        fetch: (_url, { signal }) =>
          new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason))),
        watchNetwork: () => () => {},
      },
    });
    let code: unknown;
    hangs.conversations().catch((error) => {
      code = error.code;
    });
    clock.advance(ms - 1);
    await new Promise(setImmediate);
    assert.equal(code, undefined);
    clock.advance(1);
    await new Promise(setImmediate);
    assert.equal(code, 'timeout');
  }
});

test('close() gives up what is only asked, which would keep the process, and so does a logout; a logout is seen through, even by a page that goes away', async () => {
  for (const end of ['close', 'logout'] as const) {
    const requests = new Map<string, HttpRequest>();
    const client = createClient({
      url: 'http://chat.test',
      session: ALICE,
      clock: new ManualClock(),
      transport: {
        open: () => ({ send: () => {}, close: () => {} }),
        fetch: (url, request) =>
          new Promise((_, reject) => {
            requests.set(new URL(url).pathname, request);
            request.signal.addEventListener('abort', () => reject(request.signal.reason));
          }),
        watchNetwork: () => () => {},
      },
    });
    const asked = client.history('bob');
    if (end === 'logout') void client.logout();
    client.close();
    await assert.rejects(asked, { code: end === 'logout' ? 'logged_out' : 'closed' });
    const [read, logout] = [requests.get('/history'), requests.get('/logout')];
    assert.deepEqual([read?.signal.aborted, read?.keepalive], [true, false]);
    const through = end === 'logout' ? [false, true] : [undefined, undefined];
    assert.deepEqual([logout?.signal.aborted, logout?.keepalive], through);
  }
});

test('an answer that breaks off is a lost connection, not the answer of somebody else', async (t) => {
  const client = createClient({
    url: 'http://chat.test',
    session: ALICE,
    transport: {
      open: () => ({ send: () => {}, close: () => {} }),
      fetch: async () =>
        new Response(
          new ReadableStream({
            start(body) {
              body.enqueue(new TextEncoder().encode('{"conversations":[{"user":'));
              body.error(new TypeError('terminated'));
            },
          }),
        ),
      watchNetwork: () => () => {},
    },
  });
  t.after(() => client.close());
  await assert.rejects(client.conversations(), { code: 'network', retryable: true });
});
