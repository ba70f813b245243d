import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { after, test } from 'node:test';
import { Tokens } from '../../src/auth/tokens.ts';
import { ROUTES } from '../../src/contract/http.ts';
import { call, connect, newUser } from '../support/client.ts';
import { RawConnection, rawAnswer, rawRequest, upgradeLines } from '../support/raw.ts';
import { startNode, TEST_SECRET, temporaryFolder } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

/*
 * Every bad request has one answer: a status and a code (SPEC parts A, H and L). After each, the node is well.
 */

const { node, url } = await startNode({ after }, { DATABASE_PATH: `${temporaryFolder({ after })}/chat.db` });
const output = (): string => node.output;
let sends = 0;
const tokens = {
  ann: await newUser(url, 'ann'),
  bob: await newUser(url, 'bob'),
  forged: (await new Tokens(['another secret of more than thirty-two characters'], 60).issue('ann', 0)).token,
  expired: (await new Tokens([TEST_SECRET], -60).issue('ann', 0)).token,
  garbage: 'a.b.c',
};
const ann = await connect(url, 'ann', tokens.ann);

/** Begun first and awaited last, since they take their time. */
const begin = async (...lines: string[]): Promise<ReturnType<typeof rawAnswer> & { took: number }> => {
  const began = Date.now();
  const connection = new RawConnection(url);
  connection.send(...lines);
  return { ...rawAnswer(await connection.closed), took: Date.now() - began };
};
const slow = {
  headers: begin('GET /livez HTTP/1.1', 'Host: x', 'X-Slow: '),
  body: begin('POST /login HTTP/1.1', 'Host: x', 'Content-Length: 100', '', '{"user_id":'),
};

after(() => ann.close());

/** The node is ready, and a good send comes back. */
async function assertWell(): Promise<void> {
  const { status } = await call(url, 'GET', '/readyz');
  assert.equal(status, 200, output());
  const client_id = `well-${++sends}`;
  ann.send({ type: 'message', to: 'bob', message: 'still here', client_id });
  await ann.next((frame) => frame['client_id'] === client_id);
}

type Case = {
  readonly request: string;
  readonly as?: keyof typeof tokens;
  readonly body?: unknown;
  readonly status: number;
  readonly code: string;
};
const login = (user_id: unknown, password: unknown) => ({ user_id, password });
const json = (depth: number): string => `{"user_id":${'['.repeat(depth)}${']'.repeat(depth)}}`;

const cases: Readonly<Record<string, Case>> = {
  'H11: a path there is not': { request: 'GET /nothing', status: 404, code: 'not_found' },
  'H11: a path that climbs': { request: 'GET /..%2f..%2fetc/passwd', status: 404, code: 'not_found' },
  'H11: a path that can not be decoded': { request: 'GET /%E0%A4%A', status: 404, code: 'not_found' },
  'H11: GET where there is POST': { request: 'GET /login', status: 405, code: 'method_not_allowed' },
  'H11: DELETE where there is GET': { request: 'DELETE /history', status: 405, code: 'method_not_allowed' },
  'H11: PUT of a message': { request: 'PUT /get-messages', status: 405, code: 'method_not_allowed' },
  'H11: /ws without an upgrade': { request: 'GET /ws', status: 426, code: 'upgrade_required' },
  'H7: no JSON': { request: 'POST /login', body: 'user_id=ann', status: 400, code: 'invalid_json' },
  'H7: no body': { request: 'POST /login', status: 400, code: 'invalid_json' },
  'H7: JSON that ends early': {
    request: 'POST /register',
    body: '{"user_id":"zoe"',
    status: 400,
    code: 'invalid_json',
  },
  'L1: JSON nested 17 deep': { request: 'POST /register', body: json(16), status: 400, code: 'invalid_json' },
  'JSON that is an array': { request: 'POST /login', body: '[]', status: 400, code: 'invalid_request' },
  'JSON that is null': { request: 'POST /register', body: 'null', status: 400, code: 'invalid_request' },
  'L1: a body over 16 KiB': {
    request: 'POST /register',
    body: login('zoe', 'x'.repeat(16 * 1024)),
    status: 413,
    code: 'request_too_large',
  },
  'H4: no password': {
    request: 'POST /register',
    body: { user_id: 'zoe' },
    status: 400,
    code: 'missing_credentials',
  },
  'H4: an empty user_id': {
    request: 'POST /register',
    body: login('', 'x'),
    status: 400,
    code: 'missing_credentials',
  },
  'L3: a user_id that is a number': {
    request: 'POST /register',
    body: login(5, 'x'),
    status: 400,
    code: 'invalid_user_id',
  },
  'L3: a user_id that is an object': {
    request: 'POST /register',
    body: login({}, 'x'),
    status: 400,
    code: 'invalid_user_id',
  },
  'L3: 65 characters': {
    request: 'POST /register',
    body: login('x'.repeat(65), 'x'),
    status: 400,
    code: 'invalid_user_id',
  },
  'L3: a bidi override': {
    request: 'POST /register',
    body: login('ann\u202e', 'x'),
    status: 400,
    code: 'invalid_user_id',
  },
  'L3: a zero-width space': {
    request: 'POST /register',
    body: login('a\u200bnn', 'x'),
    status: 400,
    code: 'invalid_user_id',
  },
  'L3: a space at the end': {
    request: 'POST /register',
    body: login('ann ', 'x'),
    status: 400,
    code: 'invalid_user_id',
  },
  'L3: not NFC': {
    request: 'POST /register',
    body: login('Zoe\u0308', 'x'),
    status: 400,
    code: 'invalid_user_id',
  },
  'L3: a lone surrogate': {
    request: 'POST /register',
    body: '{"user_id":"a\\ud800","password":"x"}',
    status: 400,
    code: 'invalid_user_id',
  },
  'L3: __proto__': {
    request: 'POST /register',
    body: login('__proto__', 'x'),
    status: 400,
    code: 'invalid_user_id',
  },
  'L4: 257 characters': {
    request: 'POST /register',
    body: login('zoe', 'x'.repeat(257)),
    status: 400,
    code: 'invalid_password',
  },
  'L4: 258 UTF-16 units': {
    request: 'POST /register',
    body: login('zoe', '😀'.repeat(129)),
    status: 400,
    code: 'invalid_password',
  },
  'L4: a password that is a number': {
    request: 'POST /register',
    body: login('zoe', 12345),
    status: 400,
    code: 'invalid_password',
  },
  'H4: a user there is': {
    request: 'POST /register',
    body: login('ann', 'other'),
    status: 409,
    code: 'user_exists',
  },
  'A6: a wrong password': {
    request: 'POST /login',
    body: login('ann', 'wrong'),
    status: 401,
    code: 'invalid_credentials',
  },
  'A6: a user there is not': {
    request: 'POST /login',
    body: login('nobody', 'wrong'),
    status: 401,
    code: 'invalid_credentials',
  },
  'A6: a password that is no text': {
    request: 'POST /login',
    body: login('ann', { $ne: 1 }),
    status: 401,
    code: 'invalid_credentials',
  },
  'H6: no user_id': { request: 'POST /get-messages', as: 'ann', body: {}, status: 400, code: 'missing_user' },
  'H6: a user_id that is a list': {
    request: 'POST /get-messages',
    as: 'ann',
    body: { user_id: ['ann'] },
    status: 400,
    code: 'invalid_request',
  },
  'H6: limit 0': {
    request: 'POST /get-messages',
    as: 'ann',
    body: { user_id: 'ann', limit: 0 },
    status: 400,
    code: 'invalid_request',
  },
  'H6: limit 10,001': {
    request: 'POST /get-messages',
    as: 'ann',
    body: { user_id: 'ann', limit: 10_001 },
    status: 400,
    code: 'invalid_request',
  },
  'H6: before -1': {
    request: 'POST /get-messages',
    as: 'ann',
    body: { user_id: 'ann', before: -1 },
    status: 400,
    code: 'invalid_request',
  },
  'A3: no token': {
    request: 'POST /get-messages',
    body: { user_id: 'ann' },
    status: 401,
    code: 'unauthorized',
  },
  'A3: a garbled token': {
    request: 'POST /get-messages',
    as: 'garbage',
    body: { user_id: 'ann' },
    status: 401,
    code: 'unauthorized',
  },
  'A3: a forged token': {
    request: 'POST /get-messages',
    as: 'forged',
    body: { user_id: 'ann' },
    status: 401,
    code: 'unauthorized',
  },
  'A3: an expired token': {
    request: 'GET /conversations',
    as: 'expired',
    status: 401,
    code: 'token_expired',
  },
  'A2: the token of another, in a body': {
    request: 'POST /get-messages',
    as: 'bob',
    body: { user_id: 'ann' },
    status: 403,
    code: 'forbidden',
  },
  'A2: the token of another, in a query': {
    request: 'GET /history?user_id=ann&with=bob',
    as: 'bob',
    status: 403,
    code: 'forbidden',
  },
  'A2: the token of another, for a list': {
    request: 'GET /conversations?user_id=ann',
    as: 'bob',
    status: 403,
    code: 'forbidden',
  },
  'A2: the token of another, for users': {
    request: 'GET /users?user_id=ann',
    as: 'bob',
    status: 403,
    code: 'forbidden',
  },
  'A2: the token of another, for a new password': {
    request: 'POST /change-password',
    as: 'bob',
    body: { user_id: 'ann', current_password: 'secret', new_password: 'x' },
    status: 403,
    code: 'forbidden',
  },
  'H8: no partner': { request: 'GET /history', as: 'ann', status: 400, code: 'invalid_request' },
  'H8: two partners': {
    request: 'GET /history?with=bob&with=eve',
    as: 'ann',
    status: 400,
    code: 'invalid_request',
  },
  'H8: limit 0': {
    request: 'GET /history?with=bob&limit=0',
    as: 'ann',
    status: 400,
    code: 'invalid_request',
  },
  'H8: limit 201': {
    request: 'GET /history?with=bob&limit=201',
    as: 'ann',
    status: 400,
    code: 'invalid_request',
  },
  'H8: limit 1.5': {
    request: 'GET /history?with=bob&limit=1.5',
    as: 'ann',
    status: 400,
    code: 'invalid_request',
  },
  'H8: before that is no number': {
    request: 'GET /history?with=bob&before=now',
    as: 'ann',
    status: 400,
    code: 'invalid_request',
  },
  'H9: limit of letters': {
    request: 'GET /conversations?limit=all',
    as: 'ann',
    status: 400,
    code: 'invalid_request',
  },
  'H10: limit 101': { request: 'GET /users?limit=101', as: 'ann', status: 400, code: 'invalid_request' },
  'H10: a prefix of 257': {
    request: `GET /users?prefix=${'x'.repeat(257)}`,
    as: 'ann',
    status: 400,
    code: 'invalid_request',
  },
  'A5: a new password that is none': {
    request: 'POST /change-password',
    as: 'ann',
    body: { current_password: 'secret' },
    status: 400,
    code: 'invalid_password',
  },
  'A5: a new password without the old': {
    request: 'POST /change-password',
    as: 'ann',
    body: { new_password: 'x' },
    status: 400,
    code: 'invalid_request',
  },
  'A5: a new password with a wrong old': {
    request: 'POST /change-password',
    as: 'ann',
    body: { current_password: 'wrong', new_password: 'x' },
    status: 401,
    code: 'invalid_credentials',
  },
  'H8: an empty before': {
    request: 'GET /history?with=bob&before=',
    as: 'ann',
    status: 400,
    code: 'invalid_request',
  },
  'H9: a before in another notation': {
    request: 'GET /conversations?before=1e2',
    as: 'ann',
    status: 400,
    code: 'invalid_request',
  },
  'A2: logout of another': {
    request: 'POST /logout',
    as: 'ann',
    body: { user_id: 'bob' },
    status: 403,
    code: 'forbidden',
  },
  'A2: a password changed for no text': {
    request: 'POST /change-password',
    as: 'ann',
    body: { user_id: 5, current_password: 'secret', new_password: 'other' },
    status: 400,
    code: 'invalid_request',
  },
  'L4: a lone surrogate in a new password': {
    request: 'POST /register',
    body: login('lone', '\ud800'),
    status: 400,
    code: 'invalid_password',
  },
  'H11: a path in other letters': { request: 'GET /HISTORY', as: 'ann', status: 404, code: 'not_found' },
  'H11: a path with a slash more': { request: 'POST /login/', status: 404, code: 'not_found' },
  'A5: logout of nobody': { request: 'POST /logout', status: 401, code: 'unauthorized' },
  'A5: logout with no JSON': {
    request: 'POST /logout',
    as: 'ann',
    body: 'everywhere',
    status: 400,
    code: 'invalid_json',
  },
  'A5: logout everywhere, perhaps': {
    request: 'POST /logout',
    as: 'ann',
    body: { everywhere: 'yes' },
    status: 400,
    code: 'invalid_request',
  },
};

for (const [name, { request, as, body, status, code }] of Object.entries(cases)) {
  test(`${name} → ${status} ${code}`, async () => {
    const [method = '', path = ''] = request.split(' ');
    const answer = await call(url, method, path, {
      ...(body !== undefined && { body }),
      ...(as !== undefined && { token: tokens[as] }),
    });
    assert.deepEqual([answer.status, answer.body['code']], [status, code]);
    assert.equal(typeof answer.body['error'], 'string');
    assert.match(answer.headers.get('content-type') ?? '', /^application\/json; charset=utf-8$/);
    assert.equal(answer.headers.get('cache-control'), 'no-store', 'H1');
    assert.equal(answer.headers.get('access-control-allow-origin'), '*', 'H3');
    assert.match(answer.headers.get('x-request-id') ?? '', /^[\w.-]{1,64}$/, 'H13');
    assert.ok(answer.headers.get('parley-worker'), 'H13');
    if (status === 405) assert.ok(answer.headers.get('allow'));
    assert.equal(answer.headers.get('upgrade'), status === 426 ? 'websocket' : null);
    assert.equal(answer.headers.get('www-authenticate'), status === 401 ? 'Bearer' : null);
    const route = ROUTES.find(
      (one) => one.path === path.split('?', 1)[0] && one.method === method.toLowerCase(),
    );
    assert.ok(
      route === undefined || (route.errors as readonly number[]).includes(status),
      `${status} is not in /openapi.json`,
    );
    await assertWell();
  });
}

test('H2: a request that is not valid is told which of its fields is not', async () => {
  for (const [path, field] of [
    ['/history?limit=201&with=bob', 'limit'],
    ['/history', 'with'],
  ] as const) {
    const { body } = await call(url, 'GET', path, { token: tokens.ann });
    assert.ok(String(body['error']).startsWith(`'${field}': `), String(body['error']));
  }
});

test('A1: a token in a query string is not looked at', async () => {
  const answer = await call(url, 'GET', `/conversations?token=${tokens.ann}&access_token=${tokens.ann}`);
  assert.deepEqual([answer.status, answer.body['code']], [401, 'unauthorized']);
});

test('A3: another scheme than Bearer is no token', async () => {
  for (const value of [`Basic ${tokens.ann}`, tokens.ann, 'Bearer', `Bearer ${tokens.ann} x`]) {
    const response = await fetch(`${url}/conversations`, { headers: { Authorization: value } });
    assert.equal(response.status, 401);
  }
});

test('A6: the answers for a wrong password and for a user there is not are the same to the letter', async () => {
  const answers = await Promise.all(
    ['ann', 'nobody'].map((user) => call(url, 'POST', '/login', { body: login(user, 'wrong') })),
  );
  assert.deepEqual(answers[0]?.body, answers[1]?.body);
});

const raw: Readonly<Record<string, { lines: string[]; status: number; code?: string }>> = {
  'what is no HTTP': { lines: ['rubbish', '', ''], status: 400, code: 'invalid_request' },
  'a TLS hello': { lines: ['\x16\x03\x01\x02\x00\x01\x00', '', ''], status: 400, code: 'invalid_request' },
  'a header without a colon': {
    lines: ['GET /livez HTTP/1.1', 'Host x', '', ''],
    status: 400,
    code: 'invalid_request',
  },
  'no Host': { lines: ['GET /livez HTTP/1.1', '', ''], status: 400, code: 'invalid_request' },
  'two Hosts': {
    lines: ['GET /livez HTTP/1.1', 'Host: x', 'Host: y', '', ''],
    status: 400,
    code: 'invalid_request',
  },
  'no Host in HTTP/1.0, which knows none': { lines: ['GET /livez HTTP/1.0', '', ''], status: 200 },
  'an expectation of something unheard of: the request is answered': {
    lines: [
      'POST /login HTTP/1.1',
      'Host: x',
      'Expect: foo',
      'Connection: close',
      'Content-Length: 2',
      '',
      '{}',
    ],
    status: 401,
    code: 'invalid_credentials',
  },
  'an address in full whose host is none': {
    lines: ['GET http://[/livez HTTP/1.1', 'Host: x', '', ''],
    status: 200,
  },
  'an address whose fragment makes it hard to parse': {
    lines: ['GET //%@#x HTTP/1.1', 'Host: x', '', ''],
    status: 404,
    code: 'not_found',
  },
  'H11: an address in full whose host is none, and a path there is not': {
    lines: ['GET http://[::1/nothing HTTP/1.1', 'Host: x', '', ''],
    status: 404,
    code: 'not_found',
  },
  'headers of 20 KiB': {
    lines: ['GET /livez HTTP/1.1', 'Host: x', `X: ${'x'.repeat(20_000)}`, '', ''],
    status: 431,
    code: 'invalid_request',
  },
  'two lengths': {
    lines: ['POST /login HTTP/1.1', 'Host: x', 'Content-Length: 1', 'Content-Length: 2', '', '{}'],
    status: 400,
    code: 'invalid_request',
  },
  'length and chunks (smuggling)': {
    lines: [
      'POST /login HTTP/1.1',
      'Host: x',
      'Content-Length: 4',
      'Transfer-Encoding: chunked',
      '',
      '0',
      '',
      '',
    ],
    status: 400,
    code: 'invalid_request',
  },
  'L1: a length over 16 KiB': {
    lines: ['POST /login HTTP/1.1', 'Host: x', 'Content-Length: 20000', '', '{'],
    status: 413,
    code: 'request_too_large',
  },
  'L1: chunks over 16 KiB': {
    lines: [
      'POST /login HTTP/1.1',
      'Host: x',
      'Transfer-Encoding: chunked',
      '',
      '5000',
      'x'.repeat(0x5000),
      '0',
      '',
      '',
    ],
    status: 413,
    code: 'request_too_large',
  },
  'a body that is no UTF-8': {
    lines: [
      'POST /login HTTP/1.1',
      'Host: x',
      'Connection: close',
      'Content-Length: 14',
      '',
      '{"user_id":"\xff"',
    ],
    status: 400,
    code: 'invalid_json',
  },
  'B1: an upgrade elsewhere': {
    lines: upgradeLines({}, 'GET /chat HTTP/1.1'),
    status: 404,
    code: 'not_found',
  },
  'B1: an unknown subprotocol': {
    lines: upgradeLines({ 'Sec-WebSocket-Protocol': 'chat, parley.v9' }),
    status: 400,
    code: 'unsupported_subprotocol',
  },
  'A3: an upgrade with a garbled token': {
    lines: upgradeLines({ Authorization: 'Bearer a.b.c' }),
    status: 401,
    code: 'unauthorized',
  },
  'A3: an upgrade with another scheme': {
    lines: upgradeLines({ Authorization: 'Basic YTpi' }),
    status: 401,
    code: 'unauthorized',
  },
  'B1: an upgrade that asks for the address in full': {
    lines: upgradeLines({}, 'GET http://x/ws?a=/ HTTP/1.1'),
    status: 101,
  },
  'B1: an upgrade elsewhere, in full': {
    lines: upgradeLines({}, 'GET http://x/chat?/ws HTTP/1.1'),
    status: 404,
    code: 'not_found',
  },
  'an upgrade without a key': {
    lines: upgradeLines({ 'Sec-WebSocket-Key': undefined }),
    status: 400,
    code: 'invalid_request',
  },
  'an upgrade with a bad key': {
    lines: upgradeLines({ 'Sec-WebSocket-Key': 'short' }),
    status: 400,
    code: 'invalid_request',
  },
  'an upgrade of another version': {
    lines: upgradeLines({ 'Sec-WebSocket-Version': '7' }),
    status: 400,
    code: 'invalid_request',
  },
  'an upgrade by POST': {
    lines: upgradeLines({}, 'POST /ws HTTP/1.1'),
    status: 405,
    code: 'method_not_allowed',
  },
  'a subprotocol list that is none': {
    lines: upgradeLines({ 'Sec-WebSocket-Protocol': 'parley.v1,,' }),
    status: 400,
    code: 'invalid_request',
  },
  'H11: an upgrade to another protocol is not asked for: the request is answered': {
    lines: [
      'GET /livez HTTP/1.1',
      'Host: x',
      'Connection: Upgrade, HTTP2-Settings',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABk',
      '',
      '',
    ],
    status: 200,
  },
};
for (const [name, { lines, status, code }] of Object.entries(raw)) {
  test(`${name} → ${status} ${code ?? ''}`, async () => {
    const answer = await rawRequest(url, lines, 1_500);
    assert.equal(answer.status, status, answer.head);
    if (status >= 400) assert.match(answer.head, /^access-control-allow-origin: \*$/im, 'H3');
    if (code !== undefined) assert.equal(JSON.parse(answer.body).code, code);
    assert.ok(!/\n\s+at /.test(answer.body), 'no stack');
    await assertWell();
  });
}

test('H11: an upgrade by HEAD is refused as HEAD is answered: without a body', async () => {
  const { status, head, body } = await rawRequest(url, upgradeLines({}, 'HEAD /ws HTTP/1.1'));
  assert.deepEqual([status, body], [405, ''], head);
});

/** Statuses of answers, in the order in which they came. */
const statuses = (said: string): number[] =>
  [...said.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
const body = JSON.stringify(login('ann', 'secret'));
const ahead = ['POST /login HTTP/1.1', 'Host: x', `Content-Length: ${body.length}`, '', body].join('\r\n');
for (const [name, next, expected] of [
  ['what is no HTTP', ['rubbish', '', ''], [200, 400]],
  [
    'a request, and what is no HTTP',
    ['GET /livez HTTP/1.1', 'Host: x', '', 'rubbish', '', ''],
    [200, 200, 400],
  ],
  [
    'a request whose body is no HTTP',
    ['POST /login HTTP/1.1', 'Host: x', 'Transfer-Encoding: chunked', '', 'rubbish', '', ''],
    [200, 400],
  ],
  ['an upgrade', upgradeLines({ 'Sec-WebSocket-Protocol': 'parley.v1' }), [200, 426]],
] as const) {
  test(`behind a request that is not answered yet: ${name} → its answer first, then ${expected.at(-1)}`, async () => {
    const { head, body } = await rawRequest(url, [`${ahead}${next.join('\r\n')}`], 1_500);
    assert.deepEqual(statuses(`${head}\r\n\r\n${body}`), expected);
    await assertWell();
  });
}

test('L1: a body that is far too large gets its answer, though its client sends all of it first; the connection goes on', async () => {
  const bytes = 20_000_000;
  const connection = new RawConnection(url);
  connection.send('POST /login HTTP/1.1', 'Host: x', `Content-Length: ${bytes}`, '', 'x'.repeat(bytes));
  connection.send('GET /livez HTTP/1.1', 'Host: x', 'Connection: close', '', '');
  assert.deepEqual(statuses(await connection.closed), [413, 200]);
  await assertWell();
});

test('H1: what POST /logout carries counts, whatever the Content-Type, or without one', async () => {
  const { token } = (await call(url, 'POST', '/login', { body: login('bob', 'secret') })).body;
  const body = '{"everywhere":true}';
  const lines = [
    'POST /logout HTTP/1.1',
    'Host: x',
    'Connection: close',
    `Authorization: Bearer ${token}`,
    `Content-Length: ${body.length}`,
    '',
    body,
  ];
  assert.equal((await rawRequest(url, lines)).status, 200);
  const other = await call(url, 'GET', '/conversations', { token: tokens.bob });
  assert.deepEqual([other.status, other.body['code']], [401, 'token_revoked']);
});

test('H13: a refused upgrade has the request id that its client gave, and the header that HTTP wants with its status', async () => {
  const id = { 'X-Request-Id': 'mine' };
  for (const [lines, status, header] of [
    [upgradeLines(id, 'POST /ws HTTP/1.1'), 405, 'Allow: GET'],
    [upgradeLines({ ...id, Authorization: 'Bearer a.b.c' }), 401, 'WWW-Authenticate: Bearer'],
    [upgradeLines({ ...id, 'Sec-WebSocket-Version': '99' }), 400, 'Sec-WebSocket-Version: 13'],
    [upgradeLines({ ...id, Connection: 'Upgrade, close' }), 101, 'Parley-Worker: '],
  ] as const) {
    const answer = await rawRequest(url, lines, 500);
    assert.equal(answer.status, status);
    for (const expected of ['X-Request-Id: mine', header])
      assert.ok(answer.head.includes(expected), answer.head);
  }
});

test('whoever is refused and keeps their own side open holds no descriptor', async () => {
  const descriptors = (): number =>
    node.workers('gateway').reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0);
  const before = descriptors();
  const { hostname, port } = new URL(url);
  const kept = await Promise.all(
    [
      upgradeLines({}, 'GET /chat HTTP/1.1'),
      ['NONSENSE', '', ''],
      upgradeLines({ 'Sec-WebSocket-Version': '99' }),
    ]
      .flatMap((lines) => Array.from({ length: 20 }, () => lines))
      .map(async (lines) => {
        const socket = connectTcp({ host: hostname, port: Number(port), allowHalfOpen: true });
        socket.on('error', () => {});
        socket.write(lines.join('\r\n'));
        await once(socket, 'data');
        return socket;
      }),
  );
  await waitFor(
    () => descriptors() <= before + 5,
    5_000,
    () => `${descriptors()} descriptors, ${before} before`,
  );
  for (const socket of kept) socket.destroy();
  await assertWell();
});

test('L7: headers that come too slowly → 408', async () => {
  const { status, body, took } = await slow.headers;
  assert.deepEqual([status, JSON.parse(body).code], [408, 'request_timeout']);
  // Without a limit of their own they would have as long as the whole request.
  assert.ok(took < (await slow.body).took - 1_000, `${took} ms`);
  await assertWell();
});

test('L7: a body that comes too slowly → 408', async () => {
  const { status, body, took } = await slow.body;
  assert.deepEqual([status, JSON.parse(body).code], [408, 'request_timeout']);
  assert.ok(took < 60_000, `${took} ms`);
  await assertWell();
});

test('nothing of this ended a worker, was logged as unexpected, or put a secret into the log', () => {
  for (const event of [
    'worker_ended',
    'unexpected error',
    '"stack"',
    'password":"',
    tokens.ann,
    'still here',
  ])
    assert.ok(!output().includes(event), event);
});
