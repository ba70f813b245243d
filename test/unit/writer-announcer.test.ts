import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHANNELS } from '../../src/bus/channels.ts';
import type { Publication } from '../../src/core/bus.ts';
import type { Outcome } from '../../src/core/commands.ts';
import { type Beat, encodeMessages, encodeRevoked, encodeSignal } from '../../src/core/events.ts';
import { Announcer } from '../../src/writer/announcer.ts';
import type { Committed, StoredMessage } from '../../src/writer/ledger.ts';
import { ScriptedBus, settle } from '../support/scripted-bus.ts';

const message = (id: number, from = 'ann', to = 'bob'): StoredMessage => ({
  id,
  from,
  to,
  frame: `{"id":${id}}`,
  at: 0,
});
const committed = (messages: StoredMessage[], ended: Committed['ended'] = []): Committed => ({
  messages,
  signals: [],
  ended,
  results: [],
});

/** An announcer on a bus that takes a publication when the test says so. */
function fixture() {
  const port = new ScriptedBus().port();
  const published: (readonly Publication[])[] = [];
  const waiting: PromiseWithResolvers<void>[] = [];
  port.publish = (publications) => {
    published.push(publications);
    const taken = Promise.withResolvers<void>();
    waiting.push(taken);
    return taken.promise;
  };
  const announcer = new Announcer(port, 'epoch', 0);
  /** The oldest publication is taken, or fails. */
  const take = async (error?: Error): Promise<void> => {
    const taken = waiting.shift();
    if (error) taken?.reject(error);
    else taken?.resolve();
    await settle();
  };
  /** The next beat that is heard. */
  const beat = async (): Promise<Beat | undefined> => {
    published.length = 0;
    announcer.beat({ ok: true });
    const payload = published.flat().find(({ channel }) => channel === CHANNELS.beat)?.payload;
    await take();
    return payload === undefined ? undefined : JSON.parse(payload);
  };
  return { announcer, published, take, beat };
}

test('G6: one publication is under way at a time, and whoever announces the next waits: a slow bus does not fill memory', async () => {
  const { announcer, published, take } = fixture();
  const announced: number[] = [];
  void (async () => {
    for (const id of [1, 2, 3]) {
      await announcer.announce(committed([message(id)]));
      announced.push(id);
    }
  })();
  await settle();
  assert.equal(published.length, 1);
  assert.deepEqual(announced, [1]);
  await take();
  assert.equal(published.length, 2);
  assert.deepEqual(announced, [1, 2]);
});

test('G8: a writer that ends waits for what it has announced', async () => {
  const { announcer, take } = fixture();
  await announcer.announce(committed([message(1)]));
  let settled = false;
  void announcer.settled().then(() => {
    settled = true;
  });
  await settle();
  assert.equal(settled, false);
  await take();
  assert.equal(settled, true);
});

test('G6: one beat waits for a bus that is away; it is not followed by those that fell due meanwhile', async () => {
  const { announcer, published, take } = fixture();
  for (let i = 0; i < 5; i++) announcer.beat({ ok: true });
  assert.equal(published.length, 1);
  await take();
  announcer.beat({ ok: true });
  assert.equal(published.length, 2);
});

test('G5 beats: do not name events that wait for the publication before them: their gateways would ask the store for what is about to come', async () => {
  const { announcer, take, published } = fixture();
  await announcer.announce(committed([message(1)]));
  const second = announcer.announce(
    committed([message(2, 'cat', 'dan')], [{ user: 'eve', version: 1, tokenId: undefined }]),
  );
  announcer.beat({ ok: true });
  const named = (at: number): unknown => {
    const { heads, revoked } = JSON.parse(published[at]?.[0]?.payload ?? '{}');
    return { heads, revoked };
  };
  assert.deepEqual(named(1), {
    heads: [
      ['ann', 1],
      ['bob', 1],
    ],
    revoked: [],
  });
  await take();
  await second;
  await take();
  announcer.beat({ ok: true });
  assert.deepEqual(named(3), {
    heads: [
      ['cat', 2],
      ['dan', 2],
    ],
    revoked: ['eve'],
  });
});

test('G5, G9 beats: name who got messages and whose tokens ended since the one before, each once', async () => {
  const { announcer, take, beat } = fixture();
  await announcer.announce(
    committed([message(7), message(8, 'bob', 'cat')], [{ user: 'dan', version: 1, tokenId: undefined }]),
  );
  await take();
  const first = await beat();
  assert.deepEqual(first?.heads, [
    ['ann', 7],
    ['bob', 8],
    ['cat', 8],
  ]);
  assert.deepEqual(first?.revoked, ['dan']);
  const second = await beat();
  assert.deepEqual([second?.heads, second?.revoked], [[], []]);
  assert.deepEqual([second?.term, second?.seq], [first?.term, (first?.seq as number) + 1]);
});

test('G6 beats: a thousand users make one, so that none grows beyond that', async () => {
  const { announcer, published, take } = fixture();
  await announcer.announce(
    committed(Array.from({ length: 500 }, (_, i) => message(i + 1, `a${i}`, `b${i}`))),
  );
  await take();
  const beats = published.flat().filter(({ channel }) => channel === CHANNELS.beat);
  assert.deepEqual(
    beats.map(({ payload }) => JSON.parse(payload).writer),
    [{ ok: true }],
  );
});

test('G5 beats: after one that failed they begin a new term, at its first', async () => {
  const { announcer, take, beat } = fixture();
  const before = await beat();
  await announcer.announce(committed([message(1)]));
  await take();
  announcer.beat({ ok: true });
  await take(new Error('the connection is lost'));
  const next = await beat();
  assert.notEqual(next?.term, before?.term);
  assert.deepEqual([next?.seq, next?.heads], [1, []]);
});

test('G5, G6 beats: events that could not be published are named by the next, and need no new term: one dead master of Redis would have every feed ask the store, at each beat', async () => {
  const { announcer, take, beat } = fixture();
  const before = await beat();
  await announcer.announce(committed([message(1)], [{ user: 'dan', version: 1, tokenId: undefined }]));
  await take(new Error('the slot has no master'));
  const next = await beat();
  assert.deepEqual([next?.term, next?.seq], [before?.term, (before?.seq as number) + 1]);
  assert.deepEqual(
    next?.heads.map(([user]) => user),
    ['ann', 'bob'],
  );
  assert.deepEqual(next?.revoked, ['dan']);
});

test('M4, S1, A5: what a transaction did goes out together: messages, one event for each user, then signals, ended tokens and answers', async () => {
  const { announcer, published } = fixture();
  const outcomes: [number, Outcome][] = [[2, { kind: 'refused', code: 'unknown_user' }]];
  void announcer.announce({
    messages: [message(4), message(5, 'bob', 'ann')],
    signals: [{ user: 'ann', frame: 'read' }],
    ended: [
      { user: 'dan', version: 3, tokenId: undefined },
      { user: 'eve', version: 0, tokenId: 'the one' },
    ],
    results: [{ gateway: 'g1', seq: 9, outcomes }],
  });
  await settle();
  assert.deepEqual(published, [
    [
      { channel: CHANNELS.user('ann'), payload: encodeMessages(0, 0, [4, 5], ['{"id":4}', '{"id":5}']) },
      { channel: CHANNELS.user('bob'), payload: encodeMessages(0, 0, [4, 5], ['{"id":4}', '{"id":5}']) },
      { channel: CHANNELS.user('ann'), payload: encodeSignal('read') },
      { channel: CHANNELS.user('dan'), payload: encodeRevoked(3, undefined) },
      { channel: CHANNELS.user('eve'), payload: encodeRevoked(0, 'the one') },
      { channel: CHANNELS.gateway('g1'), payload: JSON.stringify({ seq: 9, outcomes }) },
    ],
  ]);
});

test('B6: a message to oneself is in one event, once', async () => {
  const { announcer, published } = fixture();
  void announcer.announce(committed([message(1, 'ann', 'ann')]));
  await settle();
  assert.deepEqual(published.flat(), [{ channel: CHANNELS.user('ann'), payload: 'm 0 0 1\n{"id":1}' }]);
});
