import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ClientError, type KeyValueStorage, memoryStorage } from '../../src/client/index.ts';
import { type FakeTransport, startClient } from '../support/fake-transport.ts';
import { stored } from '../support/server-frames.ts';

type Asked = {
  readonly path: string;
  readonly token: string | undefined;
  readonly answer: (body: object, status?: number) => void;
};

/** From now on, requests are answered when the test says so. @returns those so far */
function holdRequests(transport: FakeTransport): Asked[] {
  const asked: Asked[] = [];
  transport.fetch = (...[url, init]: unknown[]) =>
    new Promise((resolve) => {
      asked.push({
        path: new URL(String(url)).pathname,
        token: (init as { headers: Record<string, string> }).headers.Authorization,
        answer: (body, status = 200) => resolve(Response.json(body, { status })),
      });
    });
  return asked;
}

const inShort = ({ path, token }: Asked): string => `${path} ${token}`;

test('a server with a path is found there by HTTP and by socket, and with TLS by both', async () => {
  const asked: string[] = [];
  const { client, transport } = startClient({ url: 'https://chat.test/base//' });
  const open = transport.open.bind(transport);
  transport.open = (url, events) => {
    asked.push(url);
    return open(url, events);
  };
  transport.fetch = async (...[url]: unknown[]) => {
    asked.push(String(url));
    return Response.json({ message: 'User registered successfully.' });
  };
  client.connect();
  await client.register('alice', 'pw');
  assert.deepEqual(asked, ['wss://chat.test/base/ws', 'https://chat.test/base/register']);
});

test('an address that no request can go to is told at once, instead of a server that can not be reached', () => {
  for (const url of ['ws://chat.test/ws', 'chat.test', 'localhost:8888', '', 'https://alice:pw@chat.test'])
    assert.throws(() => startClient({ url }), { name: 'ClientError', code: 'invalid_request' }, url);
});

test('what `client.session` and `client.cursor` say when there is none can be passed to the next client', () => {
  const { client } = startClient({ session: null, cursor: null });
  assert.equal(client.session, null);
  assert.equal(startClient({ session: client.session, cursor: client.cursor }).client.session, null);
});

test("a client is no plain object: a framework's proxy around it would have none of its private fields", () => {
  assert.equal(Object.prototype.toString.call(startClient().client), '[object ParleyClient]');
});

test('a login that is answered after close() begins no session, and leaves none at the server', async () => {
  const { client, transport } = startClient({ session: undefined });
  const sessions: unknown[] = [];
  client.on('session', ({ session }) => sessions.push(session));
  const asked = holdRequests(transport);
  const login = client.login('alice', 'pw');
  client.close();
  asked[0]!.answer({ token: 't2' });
  await assert.rejects(login, { code: 'closed' });
  assert.equal(client.session, null);
  assert.deepEqual(sessions, []);
  assert.deepEqual(asked.slice(1).map(inShort), ['/logout Bearer t2']);
});

test('what is to change something is seen through by close(): its answer tells what has become of it', async () => {
  const { client, transport } = startClient();
  const asked = holdRequests(transport);
  const sessions: unknown[] = [];
  client.on('session', ({ session }) => sessions.push(session));
  const registering = client.register('bob', 'pw');
  const changing = client.changePassword('old', 'new');
  client.close();
  asked[0]!.answer({ code: 'user_exists' }, 409);
  asked[1]!.answer({ token: 't2' });
  await assert.rejects(registering, { code: 'user_exists' });
  assert.deepEqual(await changing, { user_id: 'alice', token: 't2' });
  assert.deepEqual([client.session, sessions, asked.length], [null, [], 2]);
});

test('A5: a new password that is granted after a logout, even of a client that is closed since, leaves no session at the server', async () => {
  const { client, transport } = startClient();
  const asked = holdRequests(transport);
  const changing = client.changePassword('old', 'new');
  const leaving = client.logout();
  client.close();
  asked[1]!.answer({ code: 'token_revoked' }, 401);
  await leaving;
  asked[0]!.answer({ token: 't2' });
  await changing;
  assert.deepEqual(asked.map(inShort), [
    '/change-password Bearer t1',
    '/logout Bearer t1',
    '/logout Bearer t2',
  ]);
});

test('A5: a new password goes on with its session, also where the close of the old one is lost behind its notice', async () => {
  for (const loss of ['cut', 'silence'] as const) {
    const { client, clock, transport } = startClient();
    client.connect();
    const socket = transport.welcome();
    const asked = holdRequests(transport);
    const sessions: unknown[] = [];
    client.on('session', ({ session }) => sessions.push(session?.token));
    const changing = client.changePassword('old', 'new');
    socket.says({ type: 'closing', code: 'token_revoked', error: 'Over.', reconnect_after_ms: null });
    if (loss === 'cut') socket.events.closed(1006, '');
    else clock.advance(5_000);
    asked[0]!.answer({ token: 't2' });
    await changing;
    assert.deepEqual(sessions, ['t2'], loss);
    assert.equal(client.state.name, 'connecting', loss);
  }
});

test('A5: what a new password grants replaces a session that the user has begun meanwhile: it may have ended that', async () => {
  const { client, transport } = startClient();
  const asked = holdRequests(transport);
  const changing = client.changePassword('old', 'new');
  const login = client.login('alice', 'old');
  asked[1]!.answer({ token: 't2' });
  await login;
  asked[0]!.answer({ token: 't3' });
  await changing;
  assert.equal(client.session?.token, 't3');
});

test('A5: a login that is called after a logout everywhere is not ended by it', async () => {
  const { client, transport } = startClient();
  const asked = holdRequests(transport);
  const leaving = client.logout({ everywhere: true });
  const login = client.login('alice', 'pw');
  const late = client.login('alice', 'pw');
  await new Promise(setImmediate);
  assert.deepEqual(asked.map(inShort), ['/logout Bearer t1']);
  asked[0]!.answer({ error: 'Not now.' }, 503);
  await assert.rejects(leaving, { code: 'unavailable' });
  await new Promise(setImmediate);
  asked[1]!.answer({ token: 't2' });
  await login;
  assert.equal(client.session?.token, 't2');
  client.close();
  asked[2]!.answer({ token: 't3' });
  await assert.rejects(late, { code: 'closed' });
});

test('A5: the late answer to an earlier logout lets no login overtake the logout everywhere that has come since', async () => {
  const { client, transport } = startClient();
  const asked = holdRequests(transport);
  const first = client.logout();
  const between = client.login('alice', 'pw');
  asked[1]!.answer({ token: 't2' });
  await between;
  const leaving = client.logout({ everywhere: true });
  asked[0]!.answer({ message: 'ok' });
  await first;
  const login = client.login('alice', 'pw');
  await new Promise(setImmediate);
  assert.deepEqual(asked.map(inShort), ['/logout Bearer t1', '/login undefined', '/logout Bearer t2']);
  asked[2]!.answer({ message: 'ok' });
  await leaving;
  await new Promise(setImmediate);
  asked[3]!.answer({ token: 't3' });
  await login;
  assert.equal(client.session?.token, 't3');
  client.close();
});

test('G9: a login that is answered after a later one of the same user does not let in another user, who was asked for between them', async () => {
  const { client, transport } = startClient();
  const asked = holdRequests(transport);
  const [alice, bob, again] = ['alice', 'bob', 'alice'].map((user) => client.login(user, 'pw'));
  asked[2]!.answer({ token: 't4' });
  await again;
  asked[0]!.answer({ token: 't2' });
  await alice;
  asked[1]!.answer({ token: 't3' });
  await assert.rejects(bob as Promise<unknown>, { code: 'logged_out' });
  assert.equal(client.session?.user_id, 'alice');
  client.close();
});

test('A5: a new password tells the new session, but not to who has logged out meanwhile', async () => {
  const { client, transport } = startClient();
  const tokens: unknown[] = [];
  client.on('session', ({ session }) => tokens.push(session?.token));
  transport.fetch = async () => Response.json({ token: 't2' });
  await client.changePassword('old', 'new');
  assert.equal(client.state.name, 'idle');
  const changing = client.changePassword('new', 'newer');
  await Promise.all([client.logout(), changing]);
  assert.equal(client.session, null);
  assert.deepEqual(tokens, ['t2', undefined]);
});

test('A5: of two new passwords at once the server grants one, and what ends the other does not end the session', async () => {
  const { client, transport } = startClient();
  const answers: ((response: Response) => void)[] = [];
  transport.fetch = () => new Promise((resolve) => answers.push(resolve));
  client.connect();
  const socket = transport.welcome();
  const granted = client.changePassword('old', 'new');
  const late = client.changePassword('old', 'newer');
  answers[1]!(Response.json({ code: 'token_revoked' }, { status: 401 }));
  await assert.rejects(late, { code: 'token_revoked' });
  socket.events.closed(4401, '');
  assert.equal(client.state.name, 'waiting');
  answers[0]!(Response.json({ token: 't2' }));
  await granted;
  assert.equal(client.session?.token, 't2');
  assert.equal(client.state.name, 'connecting');
});

test('A3, A5: once a new password was granted, or refused, an answer that the session is over ends it again', async () => {
  for (const [status, code] of [
    [200, undefined],
    [401, 'invalid_credentials'],
  ] as const) {
    const { client, transport } = startClient();
    transport.fetch = async () => Response.json({ token: 't2', code }, { status });
    await client.changePassword('old', 'new').catch(() => {});
    assert.notEqual(client.session, null);
    transport.fetch = async () => Response.json({ code: 'token_revoked' }, { status: 401 });
    await assert.rejects(client.conversations(), { code: 'token_revoked' });
    assert.equal(client.session, null);
  }
});

test('A3: the end of a session is told once, by whichever way the client hears of it first', async () => {
  for (const how of ['HTTP', 'the socket']) {
    const { client, transport } = startClient();
    const told: unknown[] = [];
    client.on('session', ({ session, because }) => told.push([session, because?.code]));
    client.connect();
    const socket = transport.welcome();
    const body = { error: 'The session was ended.', code: 'token_revoked' };
    transport.fetch = async () => Response.json(body, { status: 401 });
    if (how === 'HTTP') await assert.rejects(client.conversations(), { code: 'token_revoked' });
    else {
      socket.says({ type: 'closing', ...body, reconnect_after_ms: null });
      socket.events.closed(4401, '');
    }
    assert.deepEqual(told, [[null, 'token_revoked']], how);
    assert.equal(client.state.name, 'stopped');
  }
});

test('A3: an answer that an earlier session is over does not end the next one', async () => {
  const { client, transport } = startClient();
  const { promise, resolve } = Promise.withResolvers<Response>();
  transport.fetch = () => promise;
  const asked = client.conversations();
  transport.fetch = async () => Response.json({ token: 't2' });
  await client.login('alice', 'pw');
  resolve(Response.json({ code: 'token_expired' }, { status: 401 }));
  await assert.rejects(asked, { code: 'token_expired' });
  assert.equal(client.session?.token, 't2');
});

test('G9: the login of another user ends the connection, and what the first has watched, read and typed is not theirs', async () => {
  const { client, clock, transport } = startClient();
  client.connect();
  const socket = transport.welcome({ head: 9 });
  client.watch(['bob']);
  client.markRead('bob', 5);
  client.typing('bob');
  transport.fetch = async () => Response.json({ token: 't2' });
  await client.login('carol', 'pw');
  assert.ok(socket.closedByClient);
  assert.equal(client.state.name, 'idle');
  client.connect();
  transport.last.events.opened();
  assert.deepEqual(transport.last.take(), [{ type: 'connect', user_id: 'carol', token: 't2' }]);
  const next = transport.welcome({ head: 9 });
  assert.deepEqual(next.take(), []);
  client.typing('bob');
  assert.deepEqual(next.take(), [{ type: 'typing', to: 'bob' }]);
  next.says({ type: 'error', code: 'rate_limited', error: 'slow down', retryable: true });
  clock.advance(1_000);
  assert.deepEqual(next.take(), []);
});

test('a second connect() while the cursor is read makes no second read', async () => {
  let reads = 0;
  const getItem = async () => {
    reads++;
    return null;
  };
  const { client, transport } = startClient({ storage: { ...memoryStorage(), getItem }, cursorName: 'here' });
  client.connect();
  client.connect();
  await new Promise(setImmediate);
  assert.equal(reads, 1);
  assert.equal(transport.sockets.length, 1);
});

test('close() a second time does nothing, and the network is watched no more', () => {
  const { client, transport } = startClient();
  client.connect();
  transport.welcome().says(stored(1));
  const watching = transport.network;
  client.close();
  assert.notEqual(transport.network, watching);
  assert.equal(client.session, null);
  client.close();
});

test('from JavaScript anything may come: what would be passed over in silence is told', async () => {
  const { client, transport } = startClient();
  const told = { name: 'ClientError', code: 'invalid_request' };
  transport.fetch = async () => Response.json({});
  type Any = (...args: unknown[]) => Promise<unknown>;
  // The id would be missing, the page another one, and the other sessions would go on.
  const sending = (client.send as Any).call(client, 'bob', 'hi', 'my-id');
  assert.deepEqual(client.outbox, []);
  await assert.rejects(sending, told);
  await assert.rejects((client.history as Any).call(client, 'bob', 20), told);
  await assert.rejects((client.conversations as Any).call(client, 20), told);
  await assert.rejects((client.searchUsers as Any).call(client, 'b', 20), told);
  await assert.rejects((client.logout as Any).call(client, true), told);
  // The letters of the name would be watched.
  for (const users of ['bob', undefined, null, 5, { bob: true }])
    assert.throws(() => client.watch(users as unknown as string[]), {
      name: 'ClientError',
      code: 'invalid_frame',
    });
  client.watch(new Set(['bob']) as unknown as string[]);
  // Nobody would ever be called.
  for (const [event, listener] of [
    ['mesage', () => {}],
    ['toString', () => {}],
    ['message', undefined],
    [{ message: () => {} }, undefined],
  ])
    assert.throws(() => (client.on as unknown as Any).call(client, event, listener), told);
  // It can be written to, but not be asked for its keys: what it holds would never be sent.
  const { keys: _, ...bare } = memoryStorage();
  assert.throws(() => startClient({ storage: bare as KeyValueStorage }), told);
  // After a reload, the messages since would be missed.
  assert.throws(() => startClient({ cursorName: 'here' }), told);

  void (client.send as Any).call(client, 'bob', 'hi', null);
  assert.equal(client.outbox.length, 1);
  startClient({ storage: null as unknown as KeyValueStorage });
});

test('after close(), every call says that the client was closed, and asks no server', async () => {
  const { client, transport } = startClient();
  let asked = 0;
  transport.fetch = async () => {
    asked++;
    return Response.json({ token: 't2' });
  };
  client.close();
  for (const call of [
    () => client.register('alice', 'pw'),
    () => client.login('alice', 'pw'),
    () => client.changePassword('pw', 'new'),
    () => client.conversations(),
    () => client.history('bob'),
    () => client.searchUsers('b'),
    () => client.send('bob', 'hi'),
    () => client.retry('c1'),
    () => client.online(),
    () => client.logout({ everywhere: true }),
    async () => client.connect(),
  ])
    await assert.rejects(call(), { code: 'closed' });
  assert.equal(asked, 0);
});

test('a listener that always wants a connection gets none of a session that is ending, and ends no process', async () => {
  const { client, transport } = startClient({ storage: memoryStorage(), cursorName: 'c' });
  client.on('state', ({ name }) => {
    if (name === 'idle') client.connect();
  });
  const problems: unknown[] = [];
  client.on('problem', ({ error }) => problems.push((error as ClientError).code));
  transport.fetch = async () => Response.json({ token: 't2' });
  client.connect();
  transport.welcome();
  await client.login('bob', 'pw');
  assert.equal(client.state.name, 'idle');
  client.connect();
  transport.welcome();
  await client.logout();
  assert.equal(client.state.name, 'idle');
  assert.equal(transport.sockets.length, 2);
  assert.deepEqual(problems, ['no_session', 'no_session']);
});

test('a listener that hears of the end of a session may log out, or close the client, and neither is half done', async () => {
  for (const end of ['logout', 'close'] as const)
    for (const call of ['logout', 'login'] as const) {
      const entries = new Map<string, string>();
      const { client, transport } = startClient({ storage: memoryStorage(entries) });
      client.connect();
      transport.welcome();
      void client.send('bob', 'secret');
      const outcomes: unknown[] = [];
      const tell = (done: Promise<unknown>) =>
        done.then(
          () => outcomes.push('done'),
          ({ code }) => outcomes.push(code),
        );
      const sessions: unknown[] = [];
      client.on('session', ({ session }) => sessions.push(session));
      client.on('state', ({ name }) => {
        if (name !== 'idle') return;
        if (end === 'close') client.close();
        else void tell(client.logout());
      });
      const asked = holdRequests(transport);
      const done = tell(call === 'logout' ? client.logout() : client.login('carol', 'pw'));
      asked[0]!.answer({ token: 't2', code: 'unavailable' }, call === 'logout' ? 503 : 200);
      await done;
      await new Promise(setImmediate);
      assert.equal(client.session, null);
      if (call === 'logout') {
        assert.deepEqual(outcomes, end === 'logout' ? ['unavailable', 'unavailable'] : ['unavailable']);
        assert.deepEqual(sessions, [null]);
        assert.equal(entries.size, 0);
      } else {
        assert.deepEqual(outcomes.sort(), end === 'logout' ? ['done', 'logged_out'] : ['closed']);
        assert.deepEqual(asked.slice(1).map(inShort), ['/logout Bearer t2']);
        // Nobody has come in her place: whoever shows who is logged in must hear of it.
        assert.deepEqual(sessions, end === 'logout' ? [null] : []);
        // As after any login of another.
        assert.equal(entries.size, 1);
      }
    }
});

test('logout: of a session that the server has ended meanwhile, it resolves; everywhere, it rejects, since the others go on', async () => {
  for (const everywhere of [false, true]) {
    const { client, transport } = startClient();
    transport.fetch = async () =>
      Response.json({ error: 'The session was ended.', code: 'token_revoked' }, { status: 401 });
    const done = client.logout({ everywhere });
    if (everywhere) await assert.rejects(done, { code: 'token_revoked' });
    else await done;
    assert.equal(client.session, null);
  }
});

test('logout everywhere: once the server has ended the session, it rejects, too, and yet forgets what was not sent', async () => {
  const entries = new Map<string, string>();
  const { client, transport } = startClient({ storage: memoryStorage(entries) });
  transport.fetch = async () =>
    Response.json({ error: 'The session was ended.', code: 'token_revoked' }, { status: 401 });
  void client.send('bob', 'secret');
  await assert.rejects(client.conversations(), { code: 'token_revoked' });
  await assert.rejects(client.logout({ everywhere: true }), { code: 'no_session' });
  assert.equal(entries.size, 0);
  await client.logout();
});

test('logout: a second one ends with the first, and as the first; everywhere, it is more than the first', async () => {
  for (const fails of [false, true]) {
    const { client, transport } = startClient();
    const { promise, resolve } = Promise.withResolvers<void>();
    transport.fetch = async () => {
      await promise;
      return fails ? Promise.reject(new TypeError('no network')) : Response.json({ message: 'Logged out.' });
    };
    const ended: string[] = [];
    const logout = (everywhere = false) =>
      client.logout({ everywhere }).then(
        () => ended.push('done'),
        ({ code }) => ended.push(code),
      );
    const logouts = [logout(), logout(), logout(true)];
    await new Promise(setImmediate);
    assert.deepEqual(ended, []);
    resolve();
    await Promise.all(logouts);
    assert.deepEqual(ended, fails ? ['network', 'network', 'network'] : ['done', 'done', 'no_session']);
    await client.logout();
  }
});

test('logout everywhere, asked for twice at once, ends every session, and rejects neither call', async () => {
  const { client, transport } = startClient();
  const asked = holdRequests(transport);
  const both = Promise.all([client.logout({ everywhere: true }), client.logout({ everywhere: true })]);
  asked[0]!.answer({ message: 'Logged out.' });
  await both;
  assert.deepEqual(asked.map(inShort), ['/logout Bearer t1']);
});

test('two logins of one user at once, as by a second click, both succeed, in whatever order they are answered', async () => {
  for (const order of [
    [0, 1],
    [1, 0],
  ]) {
    const { client, transport } = startClient({ session: undefined });
    const asked = holdRequests(transport);
    const both = [client.login('alice', 'pw'), client.login('alice', 'pw')];
    for (const i of order) {
      asked[i]!.answer({ token: `t${i}` });
      await both[i];
    }
    assert.equal(client.session?.user_id, 'alice');
    assert.equal(asked.length, 2, 'none of the sessions is ended');
  }
});

test('G9: what the server says to one user is not answered once another has logged in', async () => {
  const { client, transport } = startClient();
  const { promise, resolve } = Promise.withResolvers<void>();
  transport.fetch = async (...[url]: unknown[]) => {
    if (String(url).endsWith('/login')) return Response.json({ token: 't2' });
    await promise;
    return Response.json({ messages: [], conversations: [], users: [], next_before: null });
  };
  const asked = [client.history('bob'), client.conversations(), client.searchUsers('b')];
  await client.login('alice', 'pw');
  await client.login('bob', 'pw');
  resolve();
  const outcomes = await Promise.allSettled(asked);
  assert.deepEqual(
    outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason.code),
    ['logged_out', 'logged_out', 'logged_out'],
  );
});

test('G9: of logins that are answered in another order, or after a logout, the last call counts', async () => {
  const { client, transport } = startClient();
  const answers = new Map<string, () => void>();
  const revoked: string[] = [];
  transport.fetch = async (...[url, init]: unknown[]) => {
    const { body, headers } = init as { body: string; headers: Record<string, string> };
    const { user_id } = JSON.parse(body);
    if (String(url).endsWith('/logout')) revoked.push(String(headers.Authorization));
    else await new Promise<void>((resolve) => answers.set(user_id, resolve));
    return Response.json({ message: 'ok', token: `of ${user_id}` });
  };
  const bob = client.login('bob', 'pw');
  const carol = client.login('carol', 'pw');
  answers.get('carol')?.();
  await carol;
  answers.get('bob')?.();
  await assert.rejects(bob, { code: 'logged_out' });
  assert.equal(client.session?.user_id, 'carol');
  assert.deepEqual(revoked, ['Bearer of bob']);

  const again = client.login('bob', 'pw');
  await client.logout();
  answers.get('bob')?.();
  await assert.rejects(again, { code: 'logged_out' });
  assert.equal(client.session?.user_id, undefined);
  assert.deepEqual(revoked.slice(1), ['Bearer of carol', 'Bearer of bob']);

  const before = client.login('bob', 'pw');
  const answer = answers.get('bob');
  await client.logout();
  const after = client.login('bob', 'pw');
  answers.get('bob')?.();
  await after;
  answer?.();
  await assert.rejects(before, { code: 'logged_out' });
  assert.equal(client.session?.user_id, 'bob');
  assert.equal(revoked.length, 4);

  const twice = [client.login('bob', 'pw'), client.login('bob', 'pw')];
  answers.get('bob')?.();
  await twice[1];
  assert.equal(client.session?.user_id, 'bob');
});
