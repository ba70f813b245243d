import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  BURST_MS,
  bob,
  ids,
  list,
  openBob,
  reconnect,
  said,
  socket,
  span,
  start,
  summary,
  welcome,
} from '../support/chat-store-fixture.ts';
import { stored } from '../support/server-frames.ts';
import { asked, request, settled } from '../support/unanswered.ts';

describe('what the web app asks of histories', () => {
  test('history is asked for when the list has told how much is new, and down to the first new message', async (t) => {
    const store = start(t);
    store.open('bob');
    welcome();
    const conversations = await request('conversations');
    assert.equal(asked.length, 0);
    await conversations.answer(list(summary(1_000, 600)));
    const first = await request('history');
    assert.deepEqual(first.query, { with: 'bob', limit: '200' });
    await first.answer({ messages: said(801, 1_000), next_before: 801 });
    assert.equal(bob(store).history, 'loading');
    const second = await request('history');
    assert.deepEqual(second.query, { with: 'bob', before: '801', limit: '200' });
    await second.answer({ messages: said(600, 800), next_before: 600 });
    assert.deepEqual([bob(store).history, bob(store).nextBefore, asked.length], ['ready', 600, 0]);
    assert.deepEqual(span(store), [600, 1_000, 401]);
  });

  test('G3: what arrives while history is on its way stands behind it, once', async (t) => {
    const store = start(t);
    store.open('bob');
    welcome();
    await (await request('conversations')).answer(list(summary(3)));
    const history = await request('history');
    assert.equal(history.query.limit, '50');
    socket.says(stored(4), stored(5));
    await history.answer({ messages: said(2, 4), next_before: null });
    assert.deepEqual(ids(store), [2, 3, 4, 5]);
    assert.equal(bob(store).nextBefore, null);
  });

  test('older messages go in front, one request at a time, and not before what was put away meanwhile', async (t) => {
    const store = start(t);
    await openBob(store, list(summary(300)), { messages: said(151, 300), next_before: 151 });
    void store.loadOlder('bob');
    void store.loadOlder('bob');
    const older = await request('history');
    assert.deepEqual([older.query, asked.length], [{ with: 'bob', before: '151', limit: '100' }, 0]);
    await older.answer({ messages: said(101, 150), next_before: 101 });
    assert.deepEqual([...span(store), bob(store).nextBefore, bob(store).older], [101, 300, 200, 101, 'idle']);
    void store.loadOlder('bob');
    const late = await request('history');
    store.open(null);
    await late.answer({ messages: said(1, 100), next_before: null });
    assert.deepEqual([...span(store), bob(store).nextBefore, bob(store).older], [201, 300, 100, 201, 'idle']);
  });

  test('G3: older messages that come after the new ones below them were put away leave no hole', async (t) => {
    const store = start(t);
    await openBob(
      store,
      list(summary(400, 250)),
      { messages: said(231, 400), next_before: 231 },
      { head: 400 },
    );
    void store.loadOlder('bob');
    const late = await request('history');
    store.open(null);
    await late.answer({ messages: said(131, 230), next_before: 131 });
    socket.says({ type: 'read', user: 'alice', with: 'bob', id: 400 });
    store.open('bob');
    await (await request('history')).answer({ messages: said(351, 400), next_before: 351 });
    assert.deepEqual([...span(store), bob(store).nextBefore, bob(store).older], [301, 400, 100, 301, 'idle']);
  });

  test('what failed is asked for again when the connection is back', async (t) => {
    const store = start(t);
    store.open('bob');
    welcome();
    await (await request('conversations')).answer({ error: 'Not now.', code: 'unavailable' }, 503);
    assert.equal(store.state.value.list, 'failed');
    await (await request('history')).answer({ error: 'Not now.', code: 'unavailable' }, 503);
    assert.equal(bob(store).history, 'failed');
    socket.says({ type: 'presence', online: ['bob'], offline: [] });
    assert.ok(store.state.value.online.has('bob'));
    socket.onclose({ code: 1006, reason: '' });
    assert.equal(store.state.value.online.size, 0);
    store.client.connect();
    welcome();
    assert.equal(asked.length, 0);
    socket.says({ type: 'page', messages: [], upto: 3, more: false });
    await (await request('conversations')).answer(list(summary(3)));
    await (await request('history')).answer({ messages: said(1, 3), next_before: null });
    assert.deepEqual([store.state.value.list, bob(store).history, ids(store)], ['ready', 'ready', [1, 2, 3]]);
  });

  test('G3: of a long absence each message is not a change of its own; and all of it is there before what comes next', async (t) => {
    const store = start(t);
    await openBob(store, list(), { messages: [], next_before: null });
    reconnect(store, { head: 2_000 });
    let changes = 0;
    const set = store.state.set.bind(store.state);
    store.state.set = (value) => {
      changes += value.conversations === store.state.value.conversations ? 0 : 1;
      set(value);
    };
    const page = (from: number, upto: number, more: boolean) =>
      socket.says({ type: 'page', messages: said(from, upto), upto, more });
    page(1, 200, true);
    assert.deepEqual(ids(store), []);
    t.mock.timers.tick(BURST_MS);
    assert.deepEqual(span(store), [1, 200, 200]);
    // However slow the timers of a tab in the background are, what waits is bounded.
    for (let from = 201; from <= 1_201; from += 200) page(from, from + 199, true);
    assert.deepEqual(span(store), [1, 1_200, 1_200]);
    page(1_401, 2_000, false);
    assert.deepEqual(span(store), [1, 2_000, 2_000]);
    assert.equal(bob(store).unread, 2_000);
    assert.equal(changes, 3);
  });

  test('G4: after a restored back-up everything is loaded anew, and an answer from before counts for nothing', async (t) => {
    const store = start(t);
    store.open('bob');
    welcome();
    await (await request('conversations')).answer(list(summary(9)));
    const late = await request('history');
    reconnect(store, { epoch: 'e2', resync: true });
    assert.equal(store.state.value.era, 1);
    await late.answer({ messages: said(1, 9), next_before: null });
    assert.deepEqual([bob(store).history, ids(store)], ['none', []]);
    await (await request('conversations')).answer(list(summary(2)));
    await (await request('history')).answer({ messages: said(1, 2), next_before: null });
    assert.deepEqual(ids(store), [1, 2]);
  });

  test('without anything new one page is enough; with more than can be read, ten are', async (t) => {
    const store = start(t);
    welcome();
    await (await request('conversations')).answer(list(summary(9_000), summary(8_000, 1, 'carol')));
    store.open('bob');
    const only = await request('history');
    store.open(null);
    store.open('bob');
    await settled();
    assert.equal(asked.length, 0);
    await only.answer({ messages: said(8_951, 9_000), next_before: 8_951 });
    assert.deepEqual([bob(store).history, bob(store).nextBefore], ['ready', 8_951]);
    store.open('carol');
    let pages = 0;
    for (await settled(); asked.length > 0; pages++) {
      const { query, answer } = await request('history');
      assert.equal(query.with, 'carol');
      const upto = Number(query.before ?? 8_001) - 1;
      await answer({ messages: said(upto - 199, upto), next_before: upto - 199 });
    }
    assert.equal(pages, 10);
    store.open('bob');
    await settled();
    assert.equal(asked.length, 0);
  });

  test('who has left before the list was there asks for no history; a conversation beyond the list gets into it', async (t) => {
    const store = start(t);
    store.open('carol');
    welcome();
    store.open('bob');
    await (await request('conversations')).answer(list(summary(9, 9, 'dave')));
    const history = await request('history');
    assert.deepEqual([history.query.with, asked.length], ['bob', 0]);
    await history.answer({ messages: said(1, 3), next_before: null });
    const its = await request('conversations');
    assert.deepEqual(its.query, { before: '4', limit: '1' });
    // A message has come meanwhile, so that the answer is about the conversation behind it.
    await its.answer(list(summary(2, 2, 'erin')));
    assert.equal(bob(store).last?.id, 3);
    assert.ok(!store.state.value.conversations.has('erin'));
    void store.loadOlder('bob');
    await settled();
    assert.equal(asked.length, 0);
  });

  test('older messages that could not be had are asked for again, by hand or when the connection is back', async (t) => {
    const store = start(t);
    store.open('bob');
    welcome();
    await (await request('conversations')).answer(list(summary(300)));
    void store.loadOlder('bob');
    await (await request('history')).answer({ messages: said(251, 300), next_before: 251 });
    assert.equal(asked.length, 0);
    for (const again of [false, true]) {
      void store.loadOlder('bob');
      const older = await request('history');
      assert.equal(older.query.before, '251', `again: ${again}`);
      await older.answer({ error: 'Not now.', code: 'unavailable' }, 503);
      assert.equal(bob(store).older, 'failed');
    }
    reconnect(store);
    socket.says({ type: 'page', messages: [], upto: 300, more: false });
    assert.equal(bob(store).older, 'idle');
    await (await request('conversations')).answer({ error: 'Not now.', code: 'unavailable' }, 503);
    assert.deepEqual([store.state.value.list, asked.length], ['ready', 0]);
  });

  test('G4: neither answer nor refusal from before a restored back-up counts', async (t) => {
    const store = start(t);
    await openBob(
      store,
      { ...list(summary(300)), next_before: 9 },
      { messages: said(251, 300), next_before: 251 },
    );
    void store.loadOlder('bob');
    void store.loadMoreConversations();
    const late = [await request('history'), await request('conversations')];
    void store.loadHistory('carol');
    late.push(await request('history'));
    reconnect(store, { epoch: 'e2', resync: true });
    const before = store.state.value;
    await late[0]!.answer({ messages: said(151, 250), next_before: 151 });
    await late[1]!.answer(list(summary(5, 1, 'dave')));
    await late[2]!.answer({ error: 'Not now.', code: 'unavailable' }, 503);
    assert.equal(store.state.value, before);
  });

  test('a message that turns out to be stored already takes its place among those that are here', async (t) => {
    const store = start(t);
    await openBob(store, list(summary(9)), { messages: [stored(3), stored(9)], next_before: null });
    await store.send('bob', 'hello');
    const { client_id } = socket.frames('message')[0]!;
    socket.says(stored(5, { from: 'alice', to: 'bob', message: 'hello', client_id, repeat: true }));
    assert.deepEqual([ids(store), bob(store).pending, bob(store).last?.id], [[3, 5, 9], [], 9]);
  });
});
