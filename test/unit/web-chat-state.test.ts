import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Message, OutboxEntry } from '../../src/client/index.ts';
import {
  type ChatState,
  initialState,
  inOrder,
  merge,
  totalUnread,
  update,
  withMessage,
  withOpen,
  withOutbox,
  withRead,
  withSummaries,
} from '../../src/web/model/chat-state.ts';
import { timeline } from '../../src/web/model/timeline.ts';

const START = Date.UTC(2026, 0, 5, 12);

const message = (id: number, from: string, to: string, minute = id): Message => ({
  type: 'message',
  id,
  from,
  to,
  message: `text ${id}`,
  timestamp: new Date(START + minute * 60_000).toISOString().slice(0, 19).replace('T', ' '),
});

const empty = (): ChatState => initialState('me', { name: 'online' });
const receive = (state: ChatState, ...messages: Message[]): ChatState =>
  messages.reduce((before, each) => withMessage(before, each, false), state);
const conversation = (state: ChatState, peer: string) => state.conversations.get(peer)!;
const summary = (peer: string, last: Message, unread: number, read: number) => ({
  user: peer,
  last_message: last,
  unread,
  read,
  peer_read: 0,
});

describe('the state of the web app', () => {
  test('messages of the other count as unread, and the line stands before the first of them', () => {
    const state = receive(empty(), message(1, 'me', 'bob'), message(5, 'bob', 'me'), message(6, 'bob', 'me'));
    assert.equal(conversation(state, 'bob').unread, 2);
    assert.equal(totalUnread(state), 2);
    const rows = timeline(conversation(state, 'bob'), 'me');
    assert.deepEqual(
      rows.map(({ id, newMark }) => [id, newMark]),
      [
        [1, false],
        [5, true],
        [6, false],
      ],
    );
  });

  test('a message that turns out to have been stored long ago leaves no hole behind it', () => {
    const repeat: Message = { ...message(3, 'me', 'bob'), repeat: true };
    const unloaded = receive(empty(), repeat);
    assert.deepEqual(conversation(unloaded, 'bob').messages, []);
    const live = receive(empty(), message(9, 'bob', 'me'), repeat);
    assert.deepEqual(
      conversation(live, 'bob').messages.map(({ id }) => id),
      [9],
    );
    const loaded = update(live, 'bob', (known) => ({ ...known, history: 'ready', nextBefore: null }));
    assert.deepEqual(
      conversation(receive(loaded, repeat), 'bob').messages.map(({ id }) => id),
      [3, 9],
    );
  });

  test('of a conversation that is not open only the end is kept, whatever arrives; but nothing is dropped before a page that is on its way', () => {
    const many = Array.from({ length: 1_000 }, (_, i) => message(i + 1, 'bob', 'me'));
    const kept = conversation(receive(empty(), ...many), 'bob');
    assert.ok(kept.messages.length <= 200, `${kept.messages.length} kept`);
    assert.equal(kept.messages.at(-1)?.id, 1_000);
    assert.equal(kept.unread, 1_000);
    const ready = update(empty(), 'bob', (known) => ({ ...known, history: 'ready', nextBefore: null }));
    const mine = many.map((each) => ({ ...each, from: 'me', to: 'bob' }));
    const later = conversation(receive(ready, ...mine), 'bob');
    assert.deepEqual([later.history, later.nextBefore], ['ready', later.messages[0]?.id]);
    // New ones that were dropped must be loaded again, or the reader would begin behind them.
    assert.equal(conversation(receive(ready, ...many), 'bob').history, 'none');
    const loading = update(empty(), 'bob', (known) => ({ ...known, history: 'loading' }));
    assert.equal(conversation(receive(loading, ...many), 'bob').messages.length, 1_000);
    assert.equal(conversation(receive(withOpen(empty(), 'bob'), ...many), 'bob').messages.length, 1_000);
  });

  test('a timestamp that is none does not end the app', () => {
    const odd: Message = { ...message(1, 'bob', 'me'), timestamp: 'yesterday' };
    assert.equal(timeline(conversation(receive(empty(), odd), 'bob'), 'me')[0]?.at, 0);
  });

  test('a message that comes twice, or that the list told of before, counts once', () => {
    const told = withSummaries(empty(), [summary('bob', message(7, 'bob', 'me'), 3, 4)]);
    const state = receive(told, message(7, 'bob', 'me'), message(7, 'bob', 'me'));
    assert.equal(conversation(state, 'bob').unread, 3);
    assert.equal(conversation(state, 'bob').messages.length, 1);
  });

  test('what arrived while the list was on its way is added to what the server had counted', () => {
    const before = receive(
      empty(),
      message(8, 'bob', 'me'),
      message(9, 'me', 'bob'),
      message(10, 'bob', 'me'),
    );
    const state = withSummaries(before, [summary('bob', message(8, 'bob', 'me'), 5, 2)]);
    assert.equal(conversation(state, 'bob').unread, 6);
    assert.equal(conversation(state, 'bob').last?.id, 10);
  });

  test('a read marker of another device leaves what came after it', () => {
    const before = receive(
      empty(),
      message(1, 'bob', 'me'),
      message(2, 'bob', 'me'),
      message(3, 'bob', 'me'),
    );
    const state = withRead(before, { user: 'me', with: 'bob', id: 2 })!;
    assert.equal(conversation(state, 'bob').unread, 1);
    assert.equal(conversation(withRead(state, { user: 'me', with: 'bob', id: 3 })!, 'bob').unread, 0);
  });

  test('a read marker from before what is at hand cannot be counted here', () => {
    const told = withSummaries(empty(), [summary('bob', message(50, 'bob', 'me'), 20, 10)]);
    assert.equal(
      withRead(receive(told, message(51, 'bob', 'me')), { user: 'me', with: 'bob', id: 30 }),
      null,
    );
  });

  test('the other’s read marker turns own messages from sent to read', () => {
    const before = receive(empty(), message(1, 'me', 'bob'), message(2, 'me', 'bob'));
    const state = withRead(before, { user: 'bob', with: 'me', id: 1 })!;
    const marks = timeline(conversation(state, 'bob'), 'me').map(({ delivery }) => delivery.status);
    assert.deepEqual(marks, ['read', 'sent']);
  });

  test('messages have no holes: one older than the first is left to the history', () => {
    const state = receive(empty(), message(20, 'bob', 'me'), message(21, 'bob', 'me'));
    const late = withMessage(state, { ...message(3, 'me', 'bob'), repeat: true }, true);
    assert.deepEqual(
      conversation(late, 'bob').messages.map(({ id }) => id),
      [20, 21],
    );
  });

  test('merging pages in any order gives each message once, in order', () => {
    const ids = fc.uniqueArray(fc.integer({ min: 1, max: 60 })).map((all) => all.toSorted((a, b) => a - b));
    fc.assert(
      fc.property(ids, ids, (a, b) => {
        const of = (list: number[]) => list.map((id) => message(id, 'bob', 'me'));
        assert.deepEqual(
          merge(of(a), of(b)).map(({ id }) => id),
          [...new Set([...a, ...b])].sort((x, y) => x - y),
        );
      }),
    );
  });

  test('what waits to be sent stands at the end, under the same key as what it becomes', () => {
    const entry: OutboxEntry = {
      client_id: 'c1',
      to: 'bob',
      message: 'soon',
      created_at: START + 60 * 60_000,
      status: 'queued',
    };
    const before = withOutbox(receive(empty(), message(1, 'bob', 'me')), [entry]);
    const pending = timeline(conversation(before, 'bob'), 'me').at(-1)!;
    assert.equal(pending.delivery.status, 'sending');
    const stored = { ...message(2, 'me', 'bob'), client_id: 'c1' };
    const after = withOutbox(withMessage(before, stored, true), []);
    const row = timeline(conversation(after, 'bob'), 'me').at(-1)!;
    assert.equal(row.key, pending.key);
    assert.equal(row.delivery.status, 'sent');
  });

  test('what history knows to be stored is not shown again as waiting', () => {
    const entries = ['c1', 'c2'].map(
      (client_id): OutboxEntry => ({
        client_id,
        to: 'bob',
        message: client_id,
        created_at: START,
        status: 'queued',
      }),
    );
    const waiting = withOutbox(receive(empty(), message(1, 'bob', 'me')), entries);
    const loaded = update(waiting, 'bob', (known) => ({
      ...known,
      messages: merge(known.messages, [{ ...message(2, 'me', 'bob'), client_id: 'c1' }]),
    }));
    const rows = timeline(conversation(loaded, 'bob'), 'me');
    assert.deepEqual(
      rows.map(({ key, delivery }) => [key, delivery.status]),
      [
        ['id:1', 'received'],
        ['own:c1', 'sent'],
        ['own:c2', 'sending'],
      ],
    );
  });

  test('the latest conversation comes first, and one that waits to be sent is the latest', () => {
    const state = receive(
      empty(),
      message(1, 'bob', 'me'),
      message(2, 'carol', 'me'),
      message(3, 'dave', 'me'),
    );
    const entry = {
      client_id: 'c',
      to: 'bob',
      message: 'x',
      created_at: START + 9e6,
      status: 'queued',
    } as const;
    assert.deepEqual(
      inOrder(withOutbox(state, [entry])).map(({ peer }) => peer),
      ['bob', 'dave', 'carol'],
    );
  });

  test('of a long conversation that is left, only the end is kept', () => {
    const many = Array.from({ length: 500 }, (_, i) => message(i + 1, 'me', 'bob'));
    let state = update(withOpen(empty(), 'bob'), 'bob', (each) => ({
      ...each,
      messages: many,
      history: 'ready',
      nextBefore: null,
    }));
    state = withOpen(state, null);
    assert.equal(conversation(state, 'bob').messages.length, 100);
    assert.equal(conversation(state, 'bob').nextBefore, 401);
  });

  test('messages of one person within five minutes form a group; a new day or the other one ends it', () => {
    const state = receive(
      empty(),
      message(1, 'bob', 'me', 0),
      message(2, 'bob', 'me', 4),
      message(3, 'bob', 'me', 20),
      message(4, 'me', 'bob', 21),
      message(5, 'me', 'bob', 24 * 60 + 20),
    );
    const rows = timeline({ ...conversation(state, 'bob'), newAfter: null }, 'me');
    assert.deepEqual(
      rows.map(({ newDay, groupStart, groupEnd }) => [newDay, groupStart, groupEnd]),
      [
        [true, true, false],
        [false, false, true],
        [false, true, true],
        [false, true, true],
        [true, true, true],
      ],
    );
  });
});
