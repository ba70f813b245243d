import '../support/page-address.ts';
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { ClientFrame, ServerFrame } from '../../src/client/wire.ts';
import { totalUnread } from '../../src/web/model/chat-state.ts';
import { ChatStore } from '../../src/web/model/chat-store.ts';
import { connected, stored } from '../support/server-frames.ts';
import { asked, fetch, request, settled } from '../support/unanswered.ts';

/** The server's end of the newest socket. */
let socket: FakeWebSocket;

class FakeWebSocket {
  readonly sent: ClientFrame[] = [];
  onopen: () => void = () => {};
  onmessage: (event: { data: string }) => void = () => {};
  onclose: (event: { code: number; reason: string }) => void = () => {};

  constructor() {
    socket = this;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {}

  says(...frames: ServerFrame[]): void {
    for (const frame of frames) this.onmessage({ data: JSON.stringify(frame) });
  }

  frames<T extends ClientFrame['type']>(type: T): Extract<ClientFrame, { type: T }>[] {
    return this.sent.filter((frame): frame is Extract<ClientFrame, { type: T }> => frame.type === type);
  }
}

let looking = true;

/** Time in which a burst of messages is taken in. */
const BURST_MS = 100;

Object.assign(globalThis, {
  WebSocket: FakeWebSocket,
  addEventListener: () => {},
  removeEventListener: () => {},
  fetch,
});

const said = (from: number, upto: number) =>
  Array.from({ length: upto - from + 1 }, (_, i) => stored(from + i));
const summary = (last: number, read = last, user = 'bob') => ({
  user,
  last_message: stored(last, { from: user }),
  unread: last - read,
  read,
  peer_read: 0,
});
const list = (...conversations: ReturnType<typeof summary>[]) => ({ conversations, next_before: null });

function welcome(frame: Parameters<typeof connected>[0] = {}): void {
  socket.onopen();
  socket.says(connected(frame));
}

/** Alice's, who looks at her screen; timers run when the test says so. */
function start(t: TestContext): ChatStore {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  asked.splice(0);
  looking = true;
  const store = new ChatStore({
    session: { user_id: 'alice', token: 't1' },
    sessionChanged: () => {},
    attention: {
      get present() {
        return looking;
      },
      subscribe: () => () => {},
    },
  });
  t.after(() => store.close());
  return store;
}

const bob = (store: ChatStore) => store.state.value.conversations.get('bob')!;
const ids = (store: ChatStore) => bob(store).messages.map(({ id }) => id);
const span = (store: ChatStore) => [ids(store)[0], ids(store).at(-1), ids(store).length];

/** Opens carol's conversation, which stands on the second page of the list; bob's is the first page. */
async function openBeyond(store: ChatStore): Promise<void> {
  welcome({ head: 9 });
  await (await request('conversations')).answer({ ...list(summary(9)), next_before: 9 });
  void store.loadMoreConversations();
  await (await request('conversations')).answer({ ...list(summary(5, 5, 'carol')), next_before: 5 });
  store.open('carol');
  await (await request('history')).answer({ messages: [stored(5, { from: 'carol' })], next_before: null });
}

describe('what the web app asks for', () => {
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
    store.open('bob');
    welcome();
    await (await request('conversations')).answer(list(summary(300)));
    await (await request('history')).answer({ messages: said(151, 300), next_before: 151 });
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
    store.open('bob');
    welcome({ head: 400 });
    await (await request('conversations')).answer(list(summary(400, 250)));
    await (await request('history')).answer({ messages: said(231, 400), next_before: 231 });
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
    store.open('bob');
    welcome();
    await (await request('conversations')).answer(list());
    await (await request('history')).answer({ messages: [], next_before: null });
    socket.onclose({ code: 1006, reason: '' });
    store.client.connect();
    welcome({ head: 2_000 });
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
    socket.onclose({ code: 1006, reason: '' });
    store.client.connect();
    welcome({ epoch: 'e2', resync: true });
    assert.equal(store.state.value.era, 1);
    await late.answer({ messages: said(1, 9), next_before: null });
    assert.deepEqual([bob(store).history, ids(store)], ['none', []]);
    await (await request('conversations')).answer(list(summary(2)));
    await (await request('history')).answer({ messages: said(1, 2), next_before: null });
    assert.deepEqual(ids(store), [1, 2]);
  });

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
    socket.onclose({ code: 1006, reason: '' });
    store.client.connect();
    welcome();
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
    socket.onclose({ code: 1006, reason: '' });
    store.client.connect();
    welcome({ head: 30 });
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
    socket.onclose({ code: 1006, reason: '' });
    store.client.connect();
    welcome({ head: 9 });
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

  test('only who looks at the end of the open conversation has seen what arrives there', async (t) => {
    const store = start(t);
    store.open('bob');
    welcome();
    await (await request('conversations')).answer(list());
    await (await request('history')).answer({ messages: [], next_before: null });
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
    socket.onclose({ code: 1006, reason: '' });
    store.client.connect();
    welcome();
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
    socket.onclose({ code: 1006, reason: '' });
    store.client.connect();
    welcome();
    socket.says({ type: 'page', messages: [], upto: 300, more: false });
    assert.equal(bob(store).older, 'idle');
    await (await request('conversations')).answer({ error: 'Not now.', code: 'unavailable' }, 503);
    assert.deepEqual([store.state.value.list, asked.length], ['ready', 0]);
  });

  test('G4: neither answer nor refusal from before a restored back-up counts', async (t) => {
    const store = start(t);
    store.open('bob');
    welcome();
    await (await request('conversations')).answer({ ...list(summary(300)), next_before: 9 });
    await (await request('history')).answer({ messages: said(251, 300), next_before: 251 });
    void store.loadOlder('bob');
    void store.loadMoreConversations();
    const late = [await request('history'), await request('conversations')];
    void store.loadHistory('carol');
    late.push(await request('history'));
    socket.onclose({ code: 1006, reason: '' });
    store.client.connect();
    welcome({ epoch: 'e2', resync: true });
    const before = store.state.value;
    await late[0]!.answer({ messages: said(151, 250), next_before: 151 });
    await late[1]!.answer(list(summary(5, 1, 'dave')));
    await late[2]!.answer({ error: 'Not now.', code: 'unavailable' }, 503);
    assert.equal(store.state.value, before);
  });

  test('a message that turns out to be stored already takes its place among those that are here', async (t) => {
    const store = start(t);
    store.open('bob');
    welcome();
    await (await request('conversations')).answer(list(summary(9)));
    await (await request('history')).answer({ messages: [stored(3), stored(9)], next_before: null });
    await store.send('bob', 'hello');
    const { client_id } = socket.frames('message')[0]!;
    socket.says(stored(5, { from: 'alice', to: 'bob', message: 'hello', client_id, repeat: true }));
    assert.deepEqual([ids(store), bob(store).pending, bob(store).last?.id], [[3, 5, 9], [], 9]);
  });

  test('what comes while nobody looks, or after another visit, is new; an answer to a part leaves the line', async (t) => {
    const store = start(t);
    store.open('bob');
    welcome();
    await (await request('conversations')).answer(list());
    await (await request('history')).answer({ messages: [], next_before: null });
    store.atEnd = true;
    looking = false;
    socket.says(stored(1));
    assert.equal(bob(store).newAfter, 0);
    looking = true;
    await store.send('bob', 'to what I have seen of it');
    assert.equal(bob(store).newAfter, 0);
    store.open('carol');
    socket.says(stored(2, { from: 'carol' }));
    t.mock.timers.tick(BURST_MS);
    assert.equal(store.state.value.conversations.get('carol')?.newAfter, 1);
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
