import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Message, OutboxEntry } from '../../src/client/index.ts';
import {
  type ChatState,
  type Conversation,
  initialState,
  inOrder,
  merge,
  peerOf,
  totalUnread,
  update,
  withMessages,
  withOpen,
  withOutbox,
  withPresence,
  withRead,
  withSummaries,
  withTyping,
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
const withMessage = (state: ChatState, one: Message, attended: boolean): ChatState =>
  withMessages(state, peerOf(one, state.me), [one], attended);
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
    const partly = update(live, 'bob', (known) => ({ ...known, history: 'ready', nextBefore: 9 }));
    assert.equal(receive(partly, repeat), partly);
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
    const [one, two, three] = [message(1, 'bob', 'me'), message(2, 'bob', 'me'), message(3, 'bob', 'me')];
    assert.deepEqual(merge([one, two], [two, three]), [one, two, three]);
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

  test('what the user looks at, and what was read elsewhere before it came, puts no line', () => {
    const looking = withMessage(empty(), message(3, 'bob', 'me'), true);
    assert.deepEqual([conversation(looking, 'bob').unread, conversation(looking, 'bob').newAfter], [1, null]);
    const told = withSummaries(empty(), [summary('bob', message(7, 'bob', 'me'), 0, 7)]);
    const ahead = receive(withRead(told, { user: 'me', with: 'bob', id: 9 })!, message(8, 'bob', 'me'));
    assert.deepEqual([conversation(ahead, 'bob').unread, conversation(ahead, 'bob').newAfter], [0, null]);
  });

  test('the line stands while there is something left to read, and until an answer or the next visit', () => {
    const away = receive(withOpen(empty(), 'bob'), message(1, 'bob', 'me'), message(2, 'bob', 'me'));
    assert.equal(conversation(receive(away, message(3, 'me', 'bob')), 'bob').newAfter, 0);
    assert.equal(conversation(withOpen(away, null), 'bob').newAfter, 0);
    const back = withRead(away, { user: 'me', with: 'bob', id: 2 })!;
    const more = withMessage(back, message(3, 'bob', 'me'), true);
    assert.equal(conversation(more, 'bob').newAfter, 0);
    const seen = withRead(more, { user: 'me', with: 'bob', id: 3 })!;
    assert.equal(conversation(receive(seen, message(4, 'me', 'bob')), 'bob').newAfter, null);
    assert.equal(conversation(withOpen(withOpen(seen, 'carol'), 'bob'), 'bob').newAfter, null);
  });

  test('on a visit, the line is below what another device has read', () => {
    const told = withSummaries(empty(), [summary('bob', message(1, 'bob', 'me'), 1, 0)]);
    const away = receive(told, message(1, 'bob', 'me'), message(2, 'bob', 'me'));
    const lineAfter = (id: number): number | null =>
      conversation(withOpen(withRead(away, { user: 'me', with: 'bob', id })!, 'bob'), 'bob').newAfter;
    assert.deepEqual([lineAfter(1), lineAfter(2)], [1, null]);
    assert.equal(conversation(withOpen(receive(empty(), message(2, 'bob', 'me')), 'bob'), 'bob').newAfter, 1);
  });

  test('a list that is older than what is known takes nothing back', () => {
    const before = receive(
      empty(),
      message(1, 'me', 'bob'),
      message(2, 'bob', 'me'),
      message(3, 'bob', 'me'),
    );
    const read = withRead(before, { user: 'me', with: 'bob', id: 2 })!;
    const known = withRead(read, { user: 'bob', with: 'me', id: 1 })!;
    const late = { ...summary('bob', message(3, 'bob', 'me'), 2, 0), peer_read: 0 };
    const { unread, read: mine, peerRead, newAfter } = conversation(withSummaries(known, [late]), 'bob');
    assert.deepEqual({ unread, mine, peerRead, newAfter }, { unread: 1, mine: 2, peerRead: 1, newAfter: 1 });
  });

  test('a list from before the marker moved, with a newer message than the stream has brought: that one counts once it comes', () => {
    const two = receive(empty(), message(1, 'bob', 'me'), message(2, 'bob', 'me'));
    const read = withRead(two, { user: 'me', with: 'bob', id: 2 })!;
    const listed = withSummaries(read, [summary('bob', message(4, 'bob', 'me'), 3, 0)]);
    assert.equal(conversation(listed, 'bob').unread, 0);
    const { unread, last, newAfter } = conversation(receive(listed, message(4, 'bob', 'me')), 'bob');
    assert.deepEqual([unread, last?.id, newAfter], [1, 4, 3]);
  });

  test('the line is above all that is new, also where the stream brought the last of it before the list told of the rest', () => {
    const live = receive(empty(), message(9, 'bob', 'me'));
    assert.equal(conversation(live, 'bob').newAfter, 8);
    const { unread, newAfter } = conversation(
      withSummaries(live, [summary('bob', message(9, 'bob', 'me'), 4, 5)]),
      'bob',
    );
    assert.deepEqual([unread, newAfter], [4, 5]);
    // Who reads downwards takes no line along.
    const seen = withRead(receive(live, message(10, 'bob', 'me')), { user: 'me', with: 'bob', id: 9 })!;
    const later = withSummaries(seen, [summary('bob', message(10, 'bob', 'me'), 1, 9)]);
    assert.equal(conversation(later, 'bob').newAfter, 8);
  });

  test('a message that had long been stored is not the last one of a conversation of which nothing else is known', () => {
    const repeat: Message = { ...message(3, 'me', 'bob'), repeat: true };
    const unknown = receive(empty(), repeat);
    assert.deepEqual([conversation(unknown, 'bob').last, conversation(unknown, 'bob').messages], [null, []]);
    const complete = update(empty(), 'bob', (fresh) => ({ ...fresh, history: 'ready' }));
    assert.equal(conversation(receive(complete, repeat), 'bob').last?.id, 3);
  });

  test('the list tells what the other has read, and where the line stands, if anything is new', () => {
    const state = withSummaries(empty(), [
      { ...summary('bob', message(7, 'me', 'bob'), 0, 7), peer_read: 6 },
      summary('carol', message(9, 'carol', 'me'), 2, 5),
    ]);
    assert.equal(conversation(state, 'bob').peerRead, 6);
    assert.equal(conversation(state, 'bob').newAfter, null);
    assert.equal(conversation(state, 'carol').newAfter, 5);
  });

  test('a read marker is counted wherever all that follows it is at hand', () => {
    const told = withSummaries(empty(), [summary('bob', message(50, 'bob', 'me'), 20, 10)]);
    const all = withRead(told, { user: 'me', with: 'bob', id: 50 });
    assert.equal(conversation(all!, 'bob').unread, 0);
    const live = receive(empty(), message(5, 'bob', 'me'), message(6, 'bob', 'me'), message(7, 'bob', 'me'));
    assert.equal(conversation(withRead(live, { user: 'me', with: 'bob', id: 5 })!, 'bob').unread, 2);
    const mark = { user: 'me', with: 'bob', id: 3 } as const;
    const loaded = (nextBefore: number | null) =>
      update(live, 'bob', (known) => ({ ...known, history: 'ready', nextBefore }));
    assert.equal(withRead(loaded(5), mark), null);
    assert.equal(conversation(withRead(loaded(null), mark)!, 'bob').unread, 3);
    // The list has told of a message that the stream has still to bring.
    const ahead = withSummaries(live, [summary('bob', message(9, 'bob', 'me'), 4, 4)]);
    assert.equal(withRead(ahead, { user: 'me', with: 'bob', id: 6 }), null);
  });

  test('read markers only advance, and those of others with others say nothing', () => {
    const before = receive(
      empty(),
      message(1, 'me', 'bob'),
      message(2, 'bob', 'me'),
      message(3, 'bob', 'me'),
    );
    const mine = withRead(before, { user: 'me', with: 'bob', id: 3 })!;
    assert.equal(withRead(mine, { user: 'me', with: 'bob', id: 2 }), mine);
    const theirs = withRead(before, { user: 'bob', with: 'me', id: 1 })!;
    assert.equal(withRead(theirs, { user: 'bob', with: 'me', id: 0 }), theirs);
    assert.equal(withRead(before, { user: 'bob', with: 'carol', id: 1 }), before);
    assert.equal(withRead(before, { user: 'carol', with: 'me', id: 1 }), before);
  });

  test('what waits is shown as it stands now, and whatever did not change stays the same object', () => {
    const queued = ['c1', 'c2'].map(
      (client_id): OutboxEntry => ({
        client_id,
        to: 'new',
        message: client_id,
        created_at: START,
        status: 'queued',
      }),
    );
    const pending = (state: ChatState) => conversation(state, 'new').pending.map(({ status }) => status);
    const waiting = withOutbox({ ...receive(empty(), message(1, 'bob', 'me')), unkept: true }, queued);
    assert.deepEqual(pending(waiting), ['queued', 'queued']);
    assert.equal(waiting.unkept, true);
    assert.equal(withOutbox(waiting, queued), waiting);
    const [first, second] = queued as [OutboxEntry, OutboxEntry];
    const refused: OutboxEntry = {
      ...second,
      status: 'failed',
      code: 'unknown_user',
      error: 'No such user.',
    };
    const failed = withOutbox(waiting, [first, refused]);
    const rows = timeline(conversation(failed, 'new'), 'me');
    assert.deepEqual(rows[1]?.delivery, { status: 'failed', error: 'No such user.', clientId: 'c2' });
    assert.deepEqual(pending(withOutbox(failed, [first])), ['queued']);
    const sent = withOutbox(waiting, []);
    assert.deepEqual(pending(sent), []);
    assert.equal(sent.unkept, false);
  });

  test('of a conversation that is left nothing new is dropped unless it is loaded again', () => {
    const many = Array.from({ length: 150 }, (_, i) => message(i + 1, 'bob', 'me'));
    const left = (read: number) => {
      const open = update(withOpen(empty(), 'bob'), 'bob', (known) => ({
        ...known,
        messages: many,
        last: many.at(-1)!,
        read,
        unread: 150 - read,
        history: 'ready',
      }));
      return conversation(withOpen(open, 'carol'), 'bob');
    };
    assert.deepEqual([left(50).messages[0]?.id, left(50).history, left(50).nextBefore], [51, 'ready', 51]);
    assert.equal(left(49).history, 'none');
  });

  test('an opened conversation is there at once; opened again, nothing changes', () => {
    const open = withOpen(empty(), 'bob');
    assert.equal(conversation(open, 'bob').history, 'none');
    assert.equal(withOpen(open, 'bob'), open);
    assert.deepEqual(inOrder(open), []);
  });

  test('presence and typing follow what is told of them', () => {
    const both = withPresence(empty(), { online: ['bob', 'carol'], offline: [] });
    assert.deepEqual([...withPresence(both, { online: [], offline: ['bob'] }).online], ['carol']);
    const typing = withTyping(empty(), 'bob', true);
    assert.deepEqual([...typing.typing], ['bob']);
    assert.deepEqual([...withTyping(typing, 'bob', false).typing], []);
    assert.equal(withTyping(typing, 'bob', true), typing);
  });

  test('conversations of one second stand in the order of their messages, those without any last or not at all', () => {
    const state = receive(
      withOpen(empty(), 'nobody'),
      message(1, 'bob', 'me', 0),
      message(2, 'carol', 'me', 0),
      message(3, 'dave', 'me', 0),
    );
    const entry = {
      client_id: 'c',
      to: 'erin',
      message: 'x',
      created_at: START - 1,
      status: 'queued',
    } as const;
    assert.deepEqual(
      inOrder(withOutbox(state, [entry])).map(({ peer }) => peer),
      ['dave', 'carol', 'bob', 'erin'],
    );
    const later = { ...entry, client_id: 'd', created_at: START + 1 };
    assert.equal(inOrder(withOutbox(state, [entry, later]))[0]?.peer, 'erin');
  });

  test('notes to oneself have no line and are not read by another', () => {
    const state = receive(empty(), message(1, 'me', 'me'), message(2, 'me', 'me'));
    const rows = timeline({ ...conversation(state, 'me'), newAfter: 0, peerRead: 2 }, 'me');
    assert.deepEqual(
      rows.map(({ newMark, delivery }) => [newMark, delivery.status]),
      [
        [false, 'sent'],
        [false, 'sent'],
      ],
    );
  });

  test('the line stands above a message of the other, whose client_id is no key of an own row', () => {
    const state = receive(
      empty(),
      message(1, 'bob', 'me'),
      message(2, 'me', 'bob'),
      { ...message(3, 'bob', 'me', 2), client_id: 'c1' },
      message(4, 'bob', 'me', 3),
    );
    const rows = timeline({ ...conversation(state, 'bob'), newAfter: 1 }, 'me');
    assert.deepEqual(
      rows.map(({ key, newMark }) => [key, newMark]),
      [
        ['id:1', false],
        ['id:2', false],
        ['id:3', true],
        ['id:4', false],
      ],
    );
  });

  test('the line, midnight, a failed message and a clock that was set back end a group', () => {
    const starts = (known: Conversation) => timeline(known, 'me').map(({ groupStart }) => groupStart);
    const close = receive(empty(), message(1, 'bob', 'me', 0), message(2, 'bob', 'me', 1));
    assert.deepEqual(starts({ ...conversation(close, 'bob'), newAfter: null }), [true, false]);
    assert.deepEqual(starts({ ...conversation(close, 'bob'), newAfter: 1 }), [true, true]);

    const midnight = (new Date(2026, 0, 6).getTime() - START) / 60_000;
    const night = receive(empty(), message(1, 'bob', 'me', midnight - 1), message(2, 'bob', 'me', midnight));
    assert.deepEqual(starts({ ...conversation(night, 'bob'), newAfter: null }), [true, true]);

    const back = receive(empty(), message(1, 'bob', 'me', 60), message(2, 'bob', 'me', 0));
    assert.deepEqual(starts({ ...conversation(back, 'bob'), newAfter: null }), [true, true]);

    const base = { to: 'bob', message: 'x', created_at: START } as const;
    const outbox: OutboxEntry[] = [
      { ...base, client_id: 'c1', status: 'failed', code: 'unknown_user', error: 'No such user.' },
      { ...base, client_id: 'c2', status: 'queued' },
      { ...base, client_id: 'c3', status: 'queued' },
    ];
    assert.deepEqual(starts(conversation(withOutbox(empty(), outbox), 'bob')), [true, true, false]);
  });
});
