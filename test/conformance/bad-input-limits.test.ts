import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { call, connect, newUser, TestSocket } from '../support/client.ts';
import { rawRequest, upgradeLines } from '../support/raw.ts';
import { startNode, temporaryFolder } from '../support/server.ts';

/*
 * What is refused for its number, or for where it comes from: a node with limits, behind a proxy, for one origin.
 */

const ORIGIN = 'https://chat.example.org';
const { node, url } = await startNode(
  { after },
  {
    DATABASE_PATH: `${temporaryFolder({ after })}/chat.db`,
    RATE_LIMITS: 'on',
    TRUST_PROXY: 'on',
    CORS_ORIGINS: ORIGIN,
    PASSWORD_MIN_LENGTH: '6',
  },
);
const token = await newUser(url, 'ann');
await newUser(url, 'bob');

async function login(user: string, password: string, forwardedFor: string): Promise<Response> {
  const response = await fetch(`${url}/login`, {
    method: 'POST',
    headers: { 'X-Forwarded-For': forwardedFor },
    body: JSON.stringify({ user_id: user, password }),
  });
  await response.arrayBuffer();
  return response;
}

test('A6: the 11th wrong password for a user from an address → 429 rate_limited with Retry-After; from elsewhere the user still gets in', async () => {
  for (let i = 0; i < 10; i++) assert.equal((await login('ann', 'wrong', '192.0.2.1')).status, 401);
  const refused = await login('ann', 'secret', '192.0.2.1');
  assert.equal(refused.status, 429);
  const seconds = Number(refused.headers.get('retry-after'));
  assert.ok(seconds > 0 && seconds <= 300, `Retry-After: ${seconds}`);
  assert.equal((await login('ann', 'secret', '192.0.2.2')).status, 200);
  assert.equal((await login('bob', 'secret', '192.0.2.1')).status, 200);
});

test('A6: a user there is not is throttled the same way', async () => {
  for (let i = 0; i < 10; i++) assert.equal((await login('nobody', 'wrong', '192.0.2.3')).status, 401);
  assert.equal((await login('nobody', 'wrong', '192.0.2.3')).status, 429);
});

test('A6: an address that the client put before the proxy is not believed', async () => {
  for (let i = 0; i < 10; i++)
    assert.equal((await login('bob', 'wrong', `203.0.113.${i}, 192.0.2.4`)).status, 401);
  assert.equal((await login('bob', 'wrong', '203.0.113.99, 192.0.2.4')).status, 429);
});

test('A6: good logins do not count', async () => {
  for (let i = 0; i < 15; i++) assert.equal((await login('ann', 'secret', '192.0.2.5')).status, 200);
});

test('L4: PASSWORD_MIN_LENGTH counts → 400 invalid_password', async () => {
  const { status, body } = await call(url, 'POST', '/register', {
    body: { user_id: 'zoe', password: '12345' },
  });
  assert.deepEqual([status, body['code']], [400, 'invalid_password']);
  assert.match(String(body['error']), /6 to 256/);
});

test('L5: frames over 1,000 a second → error rate_limited; who goes on is closed with 4429, bad frames before it or not', async () => {
  for (const before of [0, 5]) {
    const socket = await connect(url, 'ann', token);
    for (let i = 0; i < before; i++) socket.send('rubbish');
    for (let i = 0; i < 6_000; i++) socket.send('{"type":"ping"}');
    assert.equal((await socket.closed).code, 4429);
    assert.ok(socket.frames.some(({ type, code }) => type === 'error' && code === 'rate_limited'));
    assert.ok(socket.frames.filter(({ type }) => type === 'pong').length >= 1_900);
    assert.equal(
      typeof socket.frames.find(({ type }) => type === 'closing')?.['reconnect_after_ms'],
      'number',
    );
  }
});

test('H3: only listed origins are named, in answers and in preflights', async () => {
  const ask = async (origin: string, method: string, preflight: boolean): Promise<string | null> => {
    const response = await fetch(`${url}/login`, {
      method,
      headers: { Origin: origin, ...(preflight && { 'Access-Control-Request-Method': 'POST' }) },
      ...(method === 'POST' && { body: '{}' }),
    });
    if (method === 'POST' && origin === ORIGIN)
      // Our client in a browser reads it across origins.
      assert.match(response.headers.get('access-control-expose-headers') ?? '', /\bRetry-After\b/);
    return response.headers.get('access-control-allow-origin');
  };
  for (const [method, preflight] of [
    ['POST', false],
    ['OPTIONS', false],
    ['OPTIONS', true],
  ] as const) {
    assert.equal(await ask(ORIGIN, method, preflight), ORIGIN);
    assert.equal(await ask('https://evil.example.org', method, preflight), null, `${method} ${preflight}`);
  }
});

test('H3: a refused upgrade names its origin if it is a listed one, and H13: which worker refused it', async () => {
  for (const [origin, named] of [
    [ORIGIN, ORIGIN],
    ['https://evil.example.org', undefined],
  ] as const) {
    const { head } = await rawRequest(
      url,
      upgradeLines({ Origin: origin }, 'GET /elsewhere HTTP/1.1'),
      1_000,
    );
    assert.match(head, /^HTTP\/1\.1 40[34] (Forbidden|Not Found)\r\n/);
    assert.equal(/^access-control-allow-origin: (.*)$/im.exec(head)?.[1], named);
    assert.match(head, /^parley-worker: \S+$/im);
    assert.match(head, /^x-request-id: \S+$/im);
  }
});

test('B1: a browser of another origin gets no socket → 403 origin_not_allowed; ours, the same host and programs do', async () => {
  const { status, body } = await rawRequest(url, upgradeLines({ Origin: 'https://evil.example.org' }), 1_000);
  assert.deepEqual([status, JSON.parse(body).code], [403, 'origin_not_allowed']);
  assert.equal((await rawRequest(url, upgradeLines({ Origin: 'null' }), 1_000)).status, 403);
  // A proxy may name the port that an origin leaves out.
  const proxied = { Host: 'chat.example.com:443', Origin: 'https://chat.example.com' };
  assert.equal((await rawRequest(url, upgradeLines(proxied), 1_000)).status, 101);
  const otherPort = { ...proxied, Host: 'chat.example.com:444' };
  assert.equal((await rawRequest(url, upgradeLines(otherPort), 1_000)).status, 403);
  for (const headers of [{ Origin: ORIGIN }, { Origin: url }, {}] as Record<string, string>[]) {
    const socket = new TestSocket(url, { headers });
    await socket.opened;
    socket.close();
  }
});

test('behind a proxy, it is the proxy that lets go of idle connections: its next request would meet our end of one', async () => {
  const { head } = await rawRequest(url, ['GET /livez HTTP/1.1', 'Host: x', '', ''], 1_000);
  assert.match(head, /^keep-alive: timeout=75\r?$/im);
});

test('after all of it the node is ready, and no worker has ended', async () => {
  assert.equal((await call(url, 'GET', '/readyz')).status, 200);
  assert.ok(!/worker_ended|unexpected error/.test(node.output));
});
