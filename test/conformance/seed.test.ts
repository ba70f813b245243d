import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { call, connect, logIn, newUser, register, TestSocket } from '../support/client.ts';
import { startNode, temporaryFolder } from '../support/server.ts';

/*
 * The contract Parley grew from, example by example: a client that does only what that document says, against AUTH=open, bodies
 * to the letter; then the same with identity added.
 */

const cleanup = { after };
const folder = temporaryFolder(cleanup);
const { url: open } = await startNode(cleanup, {
  AUTH: 'open',
  DATABASE_PATH: `${folder}/open.db`,
  WORKERS: '2',
});
const { url: required } = await startNode(cleanup, { DATABASE_PATH: `${folder}/required.db` });

/** A socket as the old frontends open it: no subprotocol, no token. */
async function oldSocket(user: string): Promise<TestSocket> {
  const socket = new TestSocket(open, { full: false });
  await socket.opened;
  socket.send({ type: 'connect', user_id: user });
  return socket;
}

const post = (url: string, path: string, body: unknown) => call(url, 'POST', path, { body });

test('H4: register answers as the old server did', async () => {
  const alice = { user_id: 'alice', password: 'wonderland' };
  const first = await post(open, '/register', alice);
  assert.equal(first.status, 200);
  assert.deepEqual(first.body, { message: 'User registered successfully.' });
  const again = await post(open, '/register', alice);
  assert.equal(again.status, 409);
  assert.deepEqual(again.body, { error: 'User ID already exists.' });
  for (const body of [
    { user_id: 'x' },
    { password: 'x' },
    {},
    { user_id: '', password: 'x' },
    { user_id: 'x', password: '' },
  ]) {
    const missing = await post(open, '/register', body);
    assert.equal(missing.status, 400);
    assert.deepEqual(missing.body, { error: 'Missing user_id or password' });
  }
});

test('H5: login answers as the old server did', async () => {
  await register(open, 'bob', 'builder');
  const good = await post(open, '/login', { user_id: 'bob', password: 'builder' });
  assert.equal(good.status, 200);
  assert.deepEqual(good.body, { message: 'Login successful.' });
  for (const body of [
    { user_id: 'bob', password: 'wrong' },
    { user_id: 'nobody', password: 'x' },
    { user_id: 'bob' },
    {},
  ]) {
    const bad = await post(open, '/login', body);
    assert.equal(bad.status, 401);
    assert.deepEqual(bad.body, { error: 'Invalid credentials.' });
  }
});

test('H1, H7: JSON is read whatever the Content-Type; what is not JSON is told so', async () => {
  const response = await fetch(`${open}/login`, {
    method: 'POST',
    headers: { 'Content-Type': 'text/plain' },
    body: JSON.stringify({ user_id: 'bob', password: 'builder' }),
  });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8');
  for (const path of ['/register', '/login', '/get-messages']) {
    const { status, body } = await post(open, path, '{not json');
    assert.equal(status, 400);
    assert.deepEqual(body, { error: 'Invalid JSON' });
  }
});

test('H3: OPTIONS answers 204 with the old headers, preflight or not; every answer names the origin', async () => {
  for (const headers of [
    {} as Record<string, string>,
    { Origin: 'http://localhost:3000', 'Access-Control-Request-Method': 'POST' },
  ]) {
    for (const path of ['/register', '/login', '/get-messages', '/anything']) {
      const response = await fetch(open + path, { method: 'OPTIONS', headers });
      assert.equal(response.status, 204);
      assert.equal(response.headers.get('access-control-allow-origin'), '*');
      assert.equal(
        response.headers.get('access-control-allow-headers'),
        'x-requested-with, Content-Type, Authorization',
      );
      assert.equal(response.headers.get('access-control-allow-methods'), 'POST, GET, OPTIONS, PUT, DELETE');
    }
  }
  for (const origin of [{} as Record<string, string>, { Origin: 'http://localhost:3000' }]) {
    const error = await fetch(`${open}/login`, { method: 'POST', body: '{}', headers: origin });
    assert.equal(error.headers.get('access-control-allow-origin'), '*');
  }
});

test('B1, B6: old sockets get messages both ways, the echo, and nothing they do not know', async () => {
  await register(open, 'carol');
  await register(open, 'dave');
  const carol = await oldSocket('carol');
  const dave = await oldSocket('dave');
  const davesPhone = await oldSocket('dave');
  // A frame sent before the connect was answered waits for it: the old frontends never wait.
  carol.send({ type: 'message', to: 'dave', message: 'Hello, how are you?' });
  const echo = await carol.type('message');
  const { from, to, message, type } = echo;
  assert.deepEqual(
    { from, to, message, type },
    { from: 'carol', to: 'dave', message: 'Hello, how are you?', type: 'message' },
  );
  assert.deepEqual(Object.keys(echo).slice(0, 4), ['from', 'to', 'message', 'type']);

  // dave's connects are not answered: what is sent after them comes back when they are done.
  for (const [socket, note] of [
    [dave, 'here'],
    [davesPhone, 'and here'],
  ] as const) {
    socket.send({ type: 'message', to: 'dave', message: note });
    await socket.next((frame) => frame['message'] === note);
  }
  dave.send({ type: 'message', to: 'carol', message: 'Fine' });
  for (const socket of [carol, dave, davesPhone]) await socket.next((frame) => frame['message'] === 'Fine');
  carol.send({ type: 'message', to: 'carol', message: 'note to self' });
  await carol.next((frame) => frame['message'] === 'note to self');
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(carol.frames.filter((frame) => frame['message'] === 'note to self').length, 1);
  for (const socket of [carol, dave, davesPhone])
    assert.ok(socket.frames.every((frame) => frame.type === 'message'));

  carol.send({ type: 'message', to: 'nobody', message: 'hello?' });
  const error = await carol.type('error');
  assert.equal(error['code'], 'unknown_user');
});

test('H6: get-messages groups by the other participant, oldest first, and lists the others', async () => {
  for (const user of ['erin', 'frank', 'grace']) await register(open, user);
  const erin = await oldSocket('erin');
  for (const [to, message] of [
    ['frank', '1'],
    ['grace', '2'],
    ['frank', '3'],
    ['erin', '4'],
  ] as const) {
    erin.send({ type: 'message', to, message });
  }
  await erin.type('message', 4);
  const { status, body, headers } = await post(open, '/get-messages', { user_id: 'erin' });
  assert.equal(status, 200);
  // These two are passed on as they are.
  const history = await call(open, 'GET', '/history?user_id=erin&with=frank');
  for (const given of [headers, history.headers])
    assert.equal(given.get('content-type'), 'application/json; charset=utf-8', 'H1');
  assert.deepEqual(Object.keys(body).sort(), ['conversations', 'users']);
  const conversations = body['conversations'] as Record<string, Record<string, unknown>[]>;
  assert.deepEqual(Object.keys(conversations).sort(), ['erin', 'frank', 'grace']);
  assert.deepEqual(
    conversations['frank']?.map(({ message }) => message),
    ['1', '3'],
  );
  const [stored] = conversations['grace'] ?? [];
  assert.deepEqual([stored?.['sender'], stored?.['receiver'], stored?.['message']], ['erin', 'grace', '2']);
  assert.match(String(stored?.['timestamp']), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
  const age = Date.now() - Date.parse(`${String(stored?.['timestamp']).replace(' ', 'T')}Z`);
  assert.ok(age > -2_000 && age < 60_000, 'the timestamp is UTC');
  const users = body['users'] as string[];
  assert.ok(users.includes('frank') && users.includes('grace') && !users.includes('erin'));

  for (const missing of [{}, { user_id: '' }]) {
    const answer = await post(open, '/get-messages', missing);
    assert.equal(answer.status, 400);
    assert.deepEqual(answer.body, { error: "Missing 'user_id'" });
  }
});

test('H6: get-messages pages back with before', async () => {
  await register(open, 'heidi');
  const heidi = await oldSocket('heidi');
  for (let i = 0; i < 10; i++) heidi.send({ type: 'message', to: 'heidi', message: String(i) });
  await heidi.type('message', 10);
  const seen: string[] = [];
  let before: number | undefined;
  do {
    const { body } = await post(open, '/get-messages', {
      user_id: 'heidi',
      limit: 4,
      ...(before !== undefined && { before }),
    });
    const page = (body['conversations'] as Record<string, { message: string }[]>)['heidi'] ?? [];
    seen.unshift(...page.map(({ message }) => message));
    before = body['next_before'] as number | undefined;
  } while (before !== undefined);
  assert.deepEqual(seen, ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
});

test('A1, A2, A3: with AUTH=required the same calls want the token of the user', async () => {
  const login = await (async () => {
    await register(required, 'ivan');
    return post(required, '/login', { user_id: 'ivan', password: 'secret' });
  })();
  assert.deepEqual(Object.keys(login.body), ['message', 'token', 'expires_at']);
  assert.equal(login.body['message'], 'Login successful.');
  assert.ok(Date.parse(String(login.body['expires_at'])) > Date.now());
  const ivan = String(login.body['token']);
  const judy = await newUser(required, 'judy');

  const ask = (token?: string) =>
    call(required, 'POST', '/get-messages', { body: { user_id: 'ivan' }, ...(token && { token }) });
  assert.equal((await ask(ivan)).status, 200);
  assert.deepEqual([(await ask()).status, (await ask()).body['code']], [401, 'unauthorized']);
  assert.deepEqual([(await ask('forged')).status, (await ask('forged')).body['code']], [401, 'unauthorized']);
  assert.deepEqual([(await ask(judy)).status, (await ask(judy)).body['code']], [403, 'forbidden']);

  // The token on the upgrade serves a socket that sends only what the old contract says.
  const old = new TestSocket(required, { full: false, headers: { Authorization: `Bearer ${ivan}` } });
  await old.opened;
  old.send({ type: 'connect', user_id: 'ivan' });
  old.send({ type: 'message', to: 'judy', message: 'hi' });
  await old.type('message');
  const other = new TestSocket(required, { full: false });
  await other.opened;
  other.send({ type: 'connect', user_id: 'ivan', token: judy });
  assert.equal((await other.type('error'))['code'], 'forbidden');
  assert.equal((await other.closed).code, 4403);
});

test('A5: logout and password change end tokens and live sockets, here and everywhere', async () => {
  const first = await newUser(required, 'karl');
  const second = String(
    (await post(required, '/login', { user_id: 'karl', password: 'secret' })).body['token'],
  );
  const onFirst = await connect(required, 'karl', first);
  const onSecond = await connect(required, 'karl', second);
  assert.equal((await call(required, 'POST', '/logout', { token: first })).status, 200);
  assert.equal((await onFirst.closed).code, 4401);
  assert.equal(
    (await call(required, 'GET', '/conversations', { token: first })).body['code'],
    'token_revoked',
  );
  assert.equal((await call(required, 'GET', '/conversations', { token: second })).status, 200);

  const changed = await call(required, 'POST', '/change-password', {
    token: second,
    body: { current_password: 'secret', new_password: 'better' },
  });
  assert.equal(changed.status, 200);
  assert.equal((await onSecond.closed).code, 4401);
  const third = String(changed.body['token']);
  const onThird = await connect(required, 'karl', third);
  assert.equal((await post(required, '/login', { user_id: 'karl', password: 'secret' })).status, 401);
  const requests = [
    ['GET', '/conversations'],
    ['GET', '/history?with=karl'],
    ['GET', '/users?prefix=k'],
    ['POST', '/get-messages', { user_id: 'karl' }],
    ['POST', '/change-password', { current_password: 'better', new_password: 'stolen' }],
    ['POST', '/logout', { everywhere: true }],
  ] as const;
  // A token each: one that a gateway has heard to be ended is refused whatever is asked.
  const tokens = await Promise.all(requests.map(() => logIn(required, 'karl', 'better')));
  assert.equal(
    (await call(required, 'POST', '/logout', { token: third, body: { everywhere: true } })).status,
    200,
  );
  assert.equal((await onThird.closed).code, 4401);
  for (const [i, [method, path, body]] of requests.entries()) {
    const token = tokens[i] as string;
    const answer = await call(required, method, path, { token, ...(body && { body }) });
    assert.deepEqual([answer.status, answer.body['code']], [401, 'token_revoked'], path);
  }
  assert.equal((await post(required, '/login', { user_id: 'karl', password: 'better' })).status, 200);
});
