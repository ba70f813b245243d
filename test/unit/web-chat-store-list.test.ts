import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { totalUnread } from '../../src/web/model/chat-state.ts';
import {
  BURST_MS,
  bob,
  list,
  openBeyond,
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

describe('what the web app asks of the conversation list', () => {
  test('the list goes on page by page; asked again for news, it keeps its place', async (t) => {
    const store = start(t);
    welcome();
    await (await request('conversations')).answer({ ...list(summary(9)), next_before: 9 });
    void store.loadMoreConversations();
    const second = await request('conversations');
    assert.deepEqual(second.query, { before: '9' });
    await second.answer({ ...list(summary(5, 5, 'carol')), next_before: 5 });
    socket.says(stored(12, { from: 'dave' }), stored(13, { from: 'dave' }), stored(14, { from: 'erin' }));
    assert.equal(asked.length, 0);
    t.mock.timers.tick(500);
    const again = await request('conversations');
    assert.deepEqual([again.query, asked.length], [{}, 0]);
    await again.answer({ ...list(summary(14, 10, 'erin'), summary(13, 11, 'dave')), next_before: 9 });
    assert.deepEqual([store.state.value.listBefore, store.state.value.list], [5, 'ready']);
    assert.equal(store.state.value.conversations.get('erin')?.unread, 4);
    socket.says(stored(15, { from: 'erin' }));
    t.mock.timers.tick(500);
    await settled();
    assert.equal(asked.length, 0);
  });

  test('what another device read while there was no connection is read here, wherever in the list it stands', async (t) => {
    const store = start(t);
    welcome();
    await (await request('conversations')).answer({ ...list(summary(9, 8)), next_before: 9 });
    assert.equal(asked.length, 0);
    void store.loadMoreConversations();
    await (await request('conversations')).answer({ ...list(summary(5, 1, 'carol')), next_before: 5 });
    void store.loadMoreConversations();
    await (await request('conversations')).answer({ ...list(summary(3, 3, 'dave')), next_before: 3 });
    reconnect(store);
    socket.says({ type: 'page', messages: [], upto: 9, more: false });
    await (await request('conversations')).answer({ ...list(summary(9)), next_before: 9 });
    const beyond = await request('conversations');
    assert.deepEqual(beyond.query, { before: '6', limit: '1' });
    await beyond.answer({ ...list(summary(5, 5, 'carol')), next_before: 5 });
    assert.equal(totalUnread(store.state.value), 0);
    assert.deepEqual([store.state.value.list, store.state.value.listBefore, asked.length], ['ready', 3, 0]);
  });

  test('of a long list only what is unread is asked for again, wherever it stands', async (t) => {
    const store = start(t);
    welcome();
    const page = (from: number, unread: readonly number[], next_before: number | null) => ({
      ...list(
        ...Array.from({ length: 200 }, (_, i) => from - i).map((id) =>
          summary(id, unread.includes(id) ? id - 1 : id, `peer ${id}`),
        ),
      ),
      next_before,
    });
    await (await request('conversations')).answer(page(2_000, [], 1_801));
    for (let from = 1_800; from > 0; from -= 200) {
      void store.loadMoreConversations();
      const next = from > 200 ? from - 199 : null;
      await (await request('conversations')).answer(page(from, [1_750, 1_740, 3], next));
    }
    assert.equal(totalUnread(store.state.value), 3);
    socket.says(stored(2_001, { from: 'stranger' }));
    t.mock.timers.tick(BURST_MS);
    t.mock.timers.tick(500);
    await (await request('conversations')).answer({
      ...list(summary(2_001, 2_001, 'stranger')),
      next_before: 1_802,
    });
    const first = await request('conversations');
    assert.deepEqual(first.query, { before: '1751', limit: '200' });
    await first.answer(page(1_750, [1_740], 1_551));
    const last = await request('conversations');
    assert.deepEqual(last.query, { before: '4', limit: '1' });
    await last.answer({ ...list(summary(3, 3, 'peer 3')), next_before: 3 });
    assert.deepEqual([totalUnread(store.state.value), asked.length], [1, 0]);
    assert.equal(store.state.value.conversations.get('peer 1740')?.unread, 1);
  });

  test('beyond the first page, what only the stream has told of is asked for, and how far the other has read the open one', async (t) => {
    const store = start(t);
    await openBeyond(store);
    reconnect(store, { head: 30 });
    const mine = stored(11, { from: 'alice', to: 'dave' });
    socket.says({ type: 'page', messages: [mine], upto: 30, more: false });
    await (await request('conversations')).answer({ ...list(summary(30)), next_before: 30 });
    const beyond = await request('conversations');
    assert.deepEqual(beyond.query, { before: '12', limit: '2' });
    await beyond.answer(
      list(
        { user: 'dave', last_message: mine, unread: 1, read: 2, peer_read: 11 },
        { ...summary(5, 5, 'carol'), peer_read: 4 },
      ),
    );
    const { conversations } = store.state.value;
    assert.deepEqual([conversations.get('dave')?.unread, conversations.get('dave')?.peerRead], [1, 11]);
    assert.deepEqual([conversations.get('carol')?.peerRead, asked.length], [4, 0]);
  });

  test('how far the other has read while there was no connection is asked for on opening, beyond the first page', async (t) => {
    const store = start(t);
    await openBeyond(store);
    store.open(null);
    reconnect(store, { head: 9 });
    socket.says({ type: 'page', messages: [], upto: 9, more: false });
    await (await request('conversations')).answer({ ...list(summary(9)), next_before: 9 });
    store.open('carol');
    await settled();
    t.mock.timers.tick(500);
    await (await request('conversations')).answer({ ...list(summary(9)), next_before: 9 });
    const beyond = await request('conversations');
    assert.deepEqual(beyond.query, { before: '6', limit: '1' });
    await beyond.answer(list({ ...summary(5, 5, 'carol'), peer_read: 4 }));
    assert.equal(store.state.value.conversations.get('carol')?.peerRead, 4);
    store.open('bob');
    await (await request('history')).answer({ messages: said(9, 9), next_before: null });
    store.open('carol');
    await settled();
    t.mock.timers.tick(500);
    await settled();
    assert.equal(asked.length, 0);
  });

  test('what gets a message while its count is asked for is asked for once more', async (t) => {
    const store = start(t);
    welcome({ head: 9 });
    await (await request('conversations')).answer({ ...list(summary(9)), next_before: 9 });
    void store.loadMoreConversations();
    await (await request('conversations')).answer({ ...list(summary(5, 1, 'carol')), next_before: 5 });
    socket.says(stored(10, { from: 'dave' }));
    t.mock.timers.tick(BURST_MS);
    t.mock.timers.tick(500);
    await (await request('conversations')).answer({ ...list(summary(10, 9, 'dave')), next_before: 10 });
    const beyond = await request('conversations');
    socket.says(stored(11, { from: 'carol' }));
    t.mock.timers.tick(BURST_MS);
    await beyond.answer({ ...list(summary(3, 3, 'erin')), next_before: 3 });
    assert.deepEqual(socket.frames('watch').at(-1)?.users.toSorted(), ['bob', 'carol', 'dave', 'erin']);
    t.mock.timers.tick(500);
    await (await request('conversations')).answer({ ...list(summary(11, 10, 'carol')), next_before: 11 });
    assert.equal(store.state.value.conversations.get('carol')?.unread, 1);
  });

  test('a conversation that is in no page of the list, since an operator has deleted it, is asked for once', async (t) => {
    const store = start(t);
    welcome({ head: 9 });
    await (await request('conversations')).answer(list(summary(9, 8), summary(5, 4, 'carol')));
    const refresh = async (): Promise<void> => {
      t.mock.timers.tick(500);
      await (await request('conversations')).answer(list(summary(9, 8)));
    };
    socket.says({ type: 'read', user: 'alice', with: 'zoe', id: 3 });
    await refresh();
    await refresh();
    t.mock.timers.tick(60_000);
    assert.equal(asked.length, 0);
    assert.equal(store.state.value.list, 'ready');
  });

  test('news that could not be had while the next page was on its way are asked for again', async (t) => {
    const store = start(t);
    welcome({ head: 9 });
    await (await request('conversations')).answer({ ...list(summary(9, 4)), next_before: 9 });
    socket.says({ type: 'read', user: 'alice', with: 'bob', id: 7 });
    t.mock.timers.tick(500);
    const news = await request('conversations');
    void store.loadMoreConversations();
    const more = await request('conversations');
    await news.answer({ error: 'Not now.' }, 503);
    await more.answer(list(summary(5, 5, 'carol')));
    assert.equal(store.state.value.list, 'ready');
    t.mock.timers.tick(10_000);
    await (await request('conversations')).answer(list(summary(9, 7)));
    assert.equal(bob(store).unread, 2);
  });

  test('what another device has read of a conversation before the list tells of it is read here', async (t) => {
    const store = start(t);
    welcome({ head: 9 });
    const late = await request('conversations');
    socket.says({ type: 'read', user: 'alice', with: 'bob', id: 9 });
    await late.answer(list(summary(9, 4)));
    t.mock.timers.tick(500);
    await (await request('conversations')).answer(list(summary(9)));
    assert.equal(bob(store).unread, 0);
  });

  test('a page of the list that could not be had is asked for again', async (t) => {
    const store = start(t);
    welcome();
    await (await request('conversations')).answer({ ...list(summary(9)), next_before: 9 });
    void store.loadMoreConversations();
    await (await request('conversations')).answer({ error: 'Not now.', code: 'unavailable' }, 503);
    assert.equal(store.state.value.list, 'failed');
    void store.loadMoreConversations();
    const again = await request('conversations');
    assert.equal(store.state.value.list, 'loading');
    assert.deepEqual(again.query, { before: '9' });
    await again.answer(list(summary(5, 5, 'carol')));
    assert.deepEqual([store.state.value.list, store.state.value.listBefore], ['ready', null]);
    void store.loadMoreConversations();
    await settled();
    assert.equal(asked.length, 0);
  });

  test('that the first page is asked for again is told, and what is asked for news is not', async (t) => {
    const store = start(t);
    welcome({ head: 9 });
    await (await request('conversations')).answer({ error: 'Not now.', code: 'unavailable' }, 503);
    assert.equal(store.state.value.list, 'failed');
    void store.loadMoreConversations();
    const again = await request('conversations');
    assert.equal(store.state.value.list, 'loading');
    await again.answer(list(summary(9, 4)));
    assert.deepEqual([store.state.value.list, bob(store).unread], ['ready', 5]);
    socket.says({ type: 'read', user: 'alice', with: 'bob', id: 7 });
    t.mock.timers.tick(500);
    const news = await request('conversations');
    assert.equal(store.state.value.list, 'ready');
    await news.answer(list(summary(9, 7)));
  });

  test('a marker is sent for what was seen and not read yet, and the list is asked what another device left', async (t) => {
    const store = start(t);
    welcome({ head: 9 });
    await (await request('conversations')).answer(list(summary(9, 4)));
    store.seen('bob', 4);
    store.seen('bob', 9);
    store.seen('bob', 9);
    assert.deepEqual(
      socket.frames('read').map(({ id }) => id),
      [9],
    );
    assert.equal(bob(store).unread, 0);
    socket.says(stored(10), stored(11));
    socket.says(stored(12, { from: 'carol' }));
    t.mock.timers.tick(BURST_MS);
    t.mock.timers.tick(500);
    await (await request('conversations')).answer(list(summary(12, 2, 'carol')));
    assert.equal(store.state.value.conversations.get('carol')?.unread, 10);
    socket.says({ type: 'read', user: 'alice', with: 'carol', id: 5 });
    t.mock.timers.tick(500);
    await (await request('conversations')).answer(list(summary(12, 5, 'carol')));
    assert.equal(store.state.value.conversations.get('carol')?.unread, 7);
  });

  test('what the list was asked for news and did not answer it is asked again, unless the connection is gone', async (t) => {
    const store = start(t);
    welcome({ head: 9 });
    await (await request('conversations')).answer(list(summary(9, 4)));
    socket.says({ type: 'read', user: 'alice', with: 'bob', id: 7 });
    t.mock.timers.tick(500);
    await (await request('conversations')).answer({ error: 'Not now.' }, 503);
    assert.equal(bob(store).unread, 5);
    t.mock.timers.tick(10_000);
    await (await request('conversations')).answer(list(summary(9, 7)));
    assert.equal(bob(store).unread, 2);
    t.mock.timers.tick(10_000);
    socket.says({ type: 'read', user: 'alice', with: 'bob', id: 8 });
    t.mock.timers.tick(500);
    const unanswered = await request('conversations');
    socket.onclose({ code: 1006, reason: '' });
    await unanswered.answer({ error: 'Not now.' }, 503);
    t.mock.timers.tick(10_000);
    await settled();
    assert.deepEqual(asked, []);
  });

  test('what is new in a conversation from beyond the list is shown, and read, and so is how far the other has read', async (t) => {
    const store = start(t);
    welcome({ head: 900 });
    await (await request('conversations')).answer({ ...list(summary(900, 900, 'dave')), next_before: 900 });
    store.open('bob');
    await (await request('history')).answer({ messages: said(251, 300), next_before: 251 });
    const its = await request('conversations');
    await its.answer({ ...list({ ...summary(300, 210), peer_read: 205 }), next_before: 300 });
    await (await request('history')).answer({ messages: said(51, 250), next_before: 51 });
    const { unread, newAfter, peerRead, history } = bob(store);
    assert.deepEqual(
      [unread, newAfter, peerRead, history, ...span(store)],
      [90, 210, 205, 'ready', 51, 300, 250],
    );
    store.seen('bob', 300);
    assert.deepEqual([bob(store).unread, socket.frames('read').length, asked.length], [0, 1, 0]);
  });

  test('news that came just before the connection broke are asked for when it is back, not before', async (t) => {
    start(t);
    welcome();
    await (await request('conversations')).answer(list());
    socket.says(stored(1));
    socket.onclose({ code: 1006, reason: '' });
    t.mock.timers.tick(500);
    await settled();
    assert.equal(asked.length, 0);
  });
});
