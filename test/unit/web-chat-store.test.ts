import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  BURST_MS,
  bob,
  list,
  look,
  openBob,
  reconnect,
  socket,
  start,
  summary,
  welcome,
} from '../support/chat-store-fixture.ts';
import { stored } from '../support/server-frames.ts';
import { asked, request, settled } from '../support/unanswered.ts';

describe('what the web app asks for', () => {
  test('only who looks at the end of the open conversation has seen what arrives there', async (t) => {
    const store = start(t);
    await openBob(store, list(), { messages: [], next_before: null });
    const arrived: string[] = [];
    store.onArrival(({ id }, peer) => arrived.push(`${peer} ${id}`));
    store.atEnd = true;
    socket.says(stored(1));
    assert.equal(bob(store).newAfter, null);
    store.seen('bob', 1);
    store.atEnd = false;
    socket.says(stored(2), stored(3, { from: 'alice', to: 'bob' }));
    t.mock.timers.tick(BURST_MS);
    assert.equal(bob(store).newAfter, 1);
    store.atEnd = true;
    socket.says(stored(4, { from: 'carol' }));
    t.mock.timers.tick(BURST_MS);
    assert.equal(store.state.value.conversations.get('carol')?.newAfter, 3);
    assert.deepEqual(arrived, ['bob 1', 'bob 2', 'carol 4']);
  });

  test('presence is asked for whom one looks at and the list, not for oneself, and not twice', async (t) => {
    const store = start(t);
    welcome();
    await (await request('conversations')).answer(
      list(summary(9), summary(8, 8, 'alice'), summary(7, 7, 'carol')),
    );
    store.open('dave');
    store.open('dave');
    assert.deepEqual(
      socket.frames('watch').map(({ users }) => users),
      [
        ['bob', 'carol'],
        ['dave', 'bob', 'carol'],
      ],
    );
  });

  test('whose presence is not followed any more is not shown as online for ever', async (t) => {
    const store = start(t);
    welcome();
    await (await request('conversations')).answer(list(summary(9)));
    store.open('dave');
    socket.says({ type: 'presence', online: ['dave', 'bob'], offline: [] });
    store.open(null);
    assert.deepEqual([...store.state.value.online], ['dave', 'bob']);
    store.open('carol');
    assert.deepEqual(socket.frames('watch').at(-1)?.users, ['carol', 'bob']);
    assert.deepEqual([...store.state.value.online], ['bob']);
  });

  test('presence that came while catching up is not kept when the connection breaks', async (t) => {
    const store = start(t);
    welcome();
    reconnect(store);
    assert.equal(store.state.value.connection.name, 'catching-up');
    socket.says({ type: 'presence', online: ['bob'], offline: [] });
    assert.ok(store.state.value.online.has('bob'));
    socket.onclose({ code: 1006, reason: '' });
    assert.equal(store.state.value.online.size, 0);
  });

  test('a message waits in sight at once and is taken out by its echo; a refused one is given back', async (t) => {
    const store = start(t);
    welcome();
    await (await request('conversations')).answer(list(summary(9, 8)));
    store.seen('bob', 9);
    assert.equal(bob(store).newAfter, 8);
    assert.equal(await store.send('bob', 'hello'), null);
    assert.equal(bob(store).newAfter, null);
    assert.equal(bob(store).pending.length, 1);
    const [frame] = socket.frames('message');
    socket.says(stored(10, { from: 'alice', to: 'bob', message: 'hello', client_id: frame!.client_id }));
    assert.deepEqual([bob(store).pending.length, bob(store).last?.id], [0, 10]);
    assert.equal((await store.send('bob', 'x'.repeat(8_001)))?.code, 'invalid_message');
    assert.equal(bob(store).pending.length, 0);
  });

  test('a name is looked for in the usual spellings, and found once', async (t) => {
    const store = start(t);
    welcome();
    const found = store.searchUsers('éVa');
    await settled();
    const prefixes: (string | undefined)[] = [];
    while (asked.some(({ url }) => url.pathname === '/users')) {
      const { query, answer } = await request('users');
      prefixes.push(query.prefix);
      await answer({ users: query.prefix === 'éva' ? ['éva', 'évariste'] : ['éva'] });
    }
    assert.deepEqual(prefixes, ['éVa', 'éva', 'ÉVa', 'Éva']);
    assert.deepEqual(await found, ['éva', 'évariste']);
  });

  test('what comes while nobody looks, or after another visit, is new; an answer to a part leaves the line', async (t) => {
    const store = start(t);
    await openBob(store, list(), { messages: [], next_before: null });
    store.atEnd = true;
    look(false);
    socket.says(stored(1));
    assert.equal(bob(store).newAfter, 0);
    look(true);
    await store.send('bob', 'to what I have seen of it');
    assert.equal(bob(store).newAfter, 0);
    store.open('carol');
    socket.says(stored(2, { from: 'carol' }));
    t.mock.timers.tick(BURST_MS);
    assert.equal(store.state.value.conversations.get('carol')?.newAfter, 1);
  });

  test('presence is asked for 200 at most, and not again because their order is another', async (t) => {
    const store = start(t);
    welcome();
    const many = Array.from({ length: 201 }, (_, i) => summary(1_000 - i, 1_000 - i, `user ${i}`));
    await (await request('conversations')).answer(list(...many));
    assert.equal(socket.frames('watch')[0]?.users.length, 200);
    socket.says(stored(1_001, { from: 'user 5' }), { type: 'read', user: 'alice', with: 'user 6', id: 1 });
    store.open('user 7');
    assert.equal(socket.frames('watch').length, 1);
  });
});
