import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import type { Beat } from '../../src/core/events.ts';
import { encodeMessages, encodeRevoked, encodeSignal } from '../../src/core/events.ts';
import type { CatchUpPage, Queries, QueryPort } from '../../src/core/queries.ts';
import { Feed, type FeedMember, Feeds } from '../../src/gateway/feeds.ts';
import { ScriptedBus, type ScriptedPort, settle } from '../support/scripted-bus.ts';

class Member implements FeedMember {
  readonly claims: FeedMember['claims'];
  readonly got: string[] = [];
  ended = false;
  constructor(claims?: { tokenId: string; version: number }) {
    this.claims = claims;
  }
  deliver(ids: readonly number[], frames: readonly string[]): void {
    for (const [i, id] of ids.entries()) this.got.push(`${id}:${frames[i]}`);
  }
  signal(frame: string): void {
    this.got.push(frame);
  }
  revoked(): void {
    this.ended = true;
  }
}

/** One user's messages on disk. */
class Store {
  ids: number[] = [];
  head = 0;
  pageMax = 100;
  down = false;
  asked = 0;
  /** Id of the token that was ended. */
  revoked: string | undefined;
  /** Runs between the snapshot and its arrival. */
  beforeAnswer: () => void | Promise<void> = () => {};

  commit(...ids: number[]): void {
    this.ids.push(...ids);
    this.head = Math.max(this.head, ...ids);
  }

  readonly port: QueryPort = {
    ask: (async (_: 'catchUp', { since = 0, tokens = [] }: Queries['catchUp']['params']) => {
      this.asked++;
      if (this.down) throw new Error('no reader');
      const newer = this.ids.filter((id) => id > since);
      const ids = newer.slice(0, this.pageMax);
      const more = newer.length > ids.length;
      const page: CatchUpPage = {
        epoch: 'e',
        user: 'known',
        tokens: tokens.map(({ tokenId }) => (tokenId === this.revoked ? 'revoked' : 'valid')),
        ids,
        frames: ids.map((id) => `m${id}`),
        upto: more ? (ids.at(-1) as number) : this.head,
        head: this.head,
        more,
      };
      await this.beforeAnswer();
      return page;
    }) as QueryPort['ask'],
  };
}

type Fixture = {
  feeds: Feeds;
  port: ScriptedPort;
  store: Store;
  event(prev: number, ...ids: number[]): void;
};

function fixture(): Fixture {
  const bus = new ScriptedBus();
  const port = bus.port();
  const store = new Store();
  const feeds = new Feeds(port, store.port, { event() {}, repaired() {} });
  const event = (prev: number, ...ids: number[]): void => {
    const payload = encodeMessages(
      prev,
      0,
      ids,
      ids.map((id) => `m${id}`),
    );
    void port.publish([{ channel: 'u:ann', payload }]);
  };
  return { feeds, port, store, event };
}

const beat = (heads: Beat['heads'], revoked: string[] = []): Beat => ({
  term: 't',
  seq: 1,
  epoch: 'e',
  writer: { ok: true },
  heads,
  revoked,
});

/** A live feed at `head` with one member. */
async function live(b: Fixture, head = 0, member = new Member()): Promise<Member> {
  b.store.head = head;
  (await b.feeds.join('ann', member)).open(head);
  return member;
}

test('G3 order: events go straight through, without asking the store', async () => {
  const b = fixture();
  const ann = await live(b, 5);
  b.event(5, 6);
  b.event(6, 9, 10);
  b.port.deliver();
  assert.deepEqual(ann.got, ['6:m6', '9:m9', '10:m10']);
  assert.equal(b.store.asked, 0);
});

test('G3 once: an event that comes again, whole or in part, delivers only what is new', async () => {
  const b = fixture();
  const ann = await live(b, 5);
  b.event(5, 6, 7);
  b.event(5, 6, 7);
  b.event(5, 6, 7, 8);
  b.event(5, 6, 7);
  b.event(7, 8);
  b.port.deliver();
  assert.deepEqual(ann.got, ['6:m6', '7:m7', '8:m8']);
});

test('G5 hole: an event whose predecessor was lost waits for the store, which has both', async () => {
  const b = fixture();
  const ann = await live(b, 5);
  b.store.commit(6, 7);
  b.event(5, 6);
  b.port.lose();
  b.event(6, 7);
  b.port.deliver();
  assert.deepEqual(ann.got, [], 'nothing later before the hole is filled');
  await settle();
  assert.deepEqual(ann.got, ['6:m6', '7:m7']);
  assert.equal(b.store.asked, 1);
});

test("G5 hole: the last event before silence, lost, is found by the beat's heads", async () => {
  const b = fixture();
  const ann = await live(b, 5);
  b.store.commit(6);
  b.feeds.check(beat([['ann', 6]]));
  await settle();
  assert.deepEqual(ann.got, ['6:m6']);
  b.feeds.check(beat([['ann', 6]]));
  await settle();
  assert.equal(b.store.asked, 1, 'a head that is known costs nothing');
});

test('G5 hole: an event of a kind that this version does not know has the store asked', async () => {
  const b = fixture();
  const ann = await live(b, 5);
  b.store.commit(6);
  void b.port.publish([{ channel: 'u:ann', payload: 'e 6\n{}' }]);
  b.port.deliver();
  await settle();
  assert.deepEqual(ann.got, ['6:m6']);
});

test('G5 hole: messages that a member failed to take are delivered by a repair', async () => {
  const b = fixture();
  const ann = await live(b, 5);
  b.store.commit(6);
  const deliver = mock.method(ann, 'deliver', () => assert.fail('not now'));
  b.event(5, 6);
  assert.throws(() => b.port.deliver());
  deliver.mock.restore();
  b.feeds.check(beat([['ann', 6]]));
  await settle();
  assert.deepEqual(ann.got, ['6:m6']);
});

test('G3 order: events that come during a repair are delivered by it, or by the next, each once', async () => {
  const b = fixture();
  const ann = await live(b, 5);
  b.store.commit(6, 7);
  let late = true;
  b.store.beforeAnswer = () => {
    if (!late) return;
    late = false;
    // Committed and announced after the snapshot was taken.
    b.store.commit(8, 9);
    b.event(7, 8, 9);
    b.port.deliver();
  };
  b.event(6, 7);
  b.port.deliver();
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    await settle();
    mock.timers.tick(20);
    await settle();
  } finally {
    mock.timers.reset();
  }
  assert.deepEqual(ann.got, ['6:m6', '7:m7', '8:m8', '9:m9']);
});

test('G5 resync: asked for while a repair is under way, it is done after it, since that may have read too early', async () => {
  const b = fixture();
  const ann = await live(b, 5);
  b.store.commit(6);
  let first = true;
  b.store.beforeAnswer = () => {
    if (!first) return;
    first = false;
    b.store.commit(7); // Its event is lost.
    b.feeds.resync();
  };
  b.feeds.resync();
  await settle();
  assert.deepEqual(ann.got, ['6:m6', '7:m7']);
  assert.equal(b.store.asked, 2);
});

test('G5 opening: nobody goes on to ask for the head before the subscription is active, also not who finds it begun', async () => {
  const b = fixture();
  const active = Promise.withResolvers<void>();
  mock.method(b.port, 'subscribe', () => active.promise);
  let joined = 0;
  for (let i = 0; i < 2; i++) void b.feeds.join('ann', new Member()).then(() => joined++);
  await settle();
  assert.equal(joined, 0);
  active.resolve();
  await settle();
  assert.equal(joined, 2);
});

test("G5 opening: an event that comes between the subscription and the head is not lost, be it the first one's", async () => {
  for (const head of [5, 0]) {
    const b = fixture();
    const ann = new Member();
    // As a session that is not live yet.
    const deliver = mock.method(ann, 'deliver', () => {});
    const feed = await b.feeds.join('ann', ann);
    b.store.commit(head + 1);
    b.event(head, head + 1);
    b.port.deliver();
    deliver.mock.restore();
    feed.open(head); // A head from before the commit.
    await settle();
    assert.deepEqual(ann.got, [`${head + 1}:m${head + 1}`]);
  }
});

test('G5 opening: an event that the head includes is not delivered again', async () => {
  const b = fixture();
  const ann = new Member();
  const feed = await b.feeds.join('ann', ann);
  b.store.commit(6);
  b.event(5, 6);
  b.port.deliver();
  feed.open(6);
  await settle();
  assert.deepEqual(ann.got, []);
  assert.equal(b.store.asked, 0);
});

test('G5 opening: a look into the store that is asked for before the head is known is taken after it', async () => {
  const b = fixture();
  const ann = new Member();
  const feed = await b.feeds.join('ann', ann);
  b.store.commit(6); // Its event is lost, and the loss is noticed.
  b.feeds.resync();
  await settle();
  assert.equal(b.store.asked, 0);
  feed.open(5); // A head from before the commit.
  await settle();
  assert.deepEqual(ann.got, ['6:m6']);
});

test('G3 opening: the head that another socket was told moves nothing for those that are there', async () => {
  const b = fixture();
  const ann = await live(b, 5);
  b.store.commit(6);
  b.event(5, 6);
  const feed = await b.feeds.join('ann', new Member());
  feed.open(6);
  assert.equal(feed.cursor, 5);
  b.port.deliver();
  assert.deepEqual(ann.got, ['6:m6']);
});

test('G5, G6 resync: the store is asked about everybody, 64 users at once', async () => {
  const b = fixture();
  const users = Array.from({ length: 100 }, (_, i) => `user ${i}`);
  for (const user of users) (await b.feeds.join(user, new Member())).open(0);
  const { promise, resolve } = Promise.withResolvers<void>();
  b.store.beforeAnswer = () => promise;
  b.feeds.resync();
  await settle();
  assert.equal(b.store.asked, 64);
  resolve();
  await settle();
  assert.equal(b.store.asked, users.length);
});

test('G6 resync: however often it is asked for while one is under way, one more follows', async () => {
  const b = fixture();
  await live(b, 5);
  const { promise, resolve } = Promise.withResolvers<void>();
  b.store.beforeAnswer = () => promise;
  for (let i = 0; i < 5; i++) b.feeds.resync();
  await settle();
  assert.equal(b.store.asked, 1);
  resolve();
  await settle(10);
  assert.equal(b.store.asked, 2);
});

test('G5 repair: an older message that is named meanwhile does not end it before the newest', async () => {
  const b = fixture();
  const ann = await live(b, 5);
  b.store.commit(7);
  b.store.beforeAnswer = () => b.feeds.check(beat([['ann', 7]]));
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    b.event(7, 9); // The store is behind it.
    b.port.deliver();
    await settle();
    b.store.commit(9);
    mock.timers.tick(20);
    await settle();
  } finally {
    mock.timers.reset();
  }
  assert.deepEqual(ann.got, ['7:m7', '9:m9']);
});

test('G6 repair: a message that is there no more is not asked for again and again', async () => {
  const b = fixture();
  await live(b, 5);
  b.store.head = 7; // Deleted by an operator, by hand.
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    b.feeds.check(beat([['ann', 7]]));
    await settle();
    mock.timers.tick(20);
    await settle();
  } finally {
    mock.timers.reset();
  }
  assert.equal(b.store.asked, 1);
});

test('G5 repair: a store that is behind the event is asked again, after a pause', async () => {
  const b = fixture();
  const ann = await live(b, 5);
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    b.event(6, 7);
    b.port.deliver();
    await settle();
    assert.equal(b.store.asked, 1);
    b.store.commit(6, 7);
    mock.timers.tick(20);
    await settle();
  } finally {
    mock.timers.reset();
  }
  assert.deepEqual([ann.got, b.store.asked], [['6:m6', '7:m7'], 2]);
});

test('G6 repair: once the last socket has left, the store is not asked any more', async () => {
  const b = fixture();
  const ann = await live(b, 5);
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    b.store.down = true;
    b.feeds.resync();
    await settle();
    b.feeds.leave('ann', ann);
    for (let i = 0; i < 3; i++) {
      mock.timers.tick(250);
      await settle();
    }
  } finally {
    mock.timers.reset();
  }
  assert.equal(b.store.asked, 1);
});

test('G5 repair: goes on page by page, in order', async () => {
  const b = fixture();
  const ann = await live(b, 0);
  b.store.pageMax = 3;
  b.store.commit(1, 2, 3, 4, 5, 6, 7);
  b.event(6, 7);
  b.port.deliver();
  await settle(10);
  assert.deepEqual(
    ann.got,
    [1, 2, 3, 4, 5, 6, 7].map((id) => `${id}:m${id}`),
  );
  assert.equal(b.store.asked, 3);
});

test('G5 repair: a store that does not answer costs delay, nothing else', async () => {
  const b = fixture();
  const ann = await live(b, 5);
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    b.store.down = true;
    b.store.commit(6, 7);
    b.event(6, 7);
    b.port.deliver();
    await settle();
    b.store.commit(8);
    b.event(7, 8);
    b.port.deliver();
    assert.deepEqual(ann.got, []);
    b.store.down = false;
    mock.timers.tick(250);
    await settle();
  } finally {
    mock.timers.reset();
  }
  assert.deepEqual(ann.got, ['6:m6', '7:m7', '8:m8']);
});

test('G6 bounded: a feed whose last member left in the middle of a repair comes to rest', async () => {
  let repairs = 0;
  const feed = new Feed('ann', async () => {
    // As Feeds does for a feed that is not its own any more: nothing. The hole stays.
    if (++repairs > 50) await new Promise(() => {});
  });
  const ann = new Member();
  feed.members = [ann];
  feed.open(5);
  feed.expect(7);
  feed.members = [];
  await settle();
  assert.ok(repairs <= 2, `asked for ${repairs} repairs in a row, for nobody: the event loop stands still`);
});

test('G9 revoked: an event ends those who hold the token, or an older version, and nobody else', async () => {
  const b = fixture();
  const one = await live(b, 0, new Member({ tokenId: 'one', version: 1 }));
  const two = new Member({ tokenId: 'two', version: 2 });
  await b.feeds.join('ann', two);
  void b.port.publish([{ channel: 'u:ann', payload: encodeRevoked(0, 'two') }]);
  b.port.deliver();
  assert.deepEqual([one.ended, two.ended], [false, true]);
  two.ended = false;
  void b.port.publish([{ channel: 'u:ann', payload: encodeRevoked(2, undefined) }]);
  b.port.deliver();
  assert.deepEqual([one.ended, two.ended], [true, false]);
});

test('G9 revoked: a password that is changed in AUTH=open ends nobody, and is no event that cannot be read', async () => {
  const b = fixture();
  const ann = await live(b);
  void b.port.publish([{ channel: 'u:ann', payload: encodeRevoked(2, undefined) }]);
  b.port.deliver();
  assert.equal(ann.ended, false);
});

test('G9 revoked: a lost event is found by the beat, which has the store judge the tokens', async () => {
  const b = fixture();
  const members = ['one', 'two', 'three'].map((tokenId) => new Member({ tokenId, version: 1 }));
  for (const member of members) await live(b, 0, member);
  b.store.revoked = 'two';
  b.feeds.check(beat([], ['ann']));
  await settle();
  assert.deepEqual(
    members.map(({ ended }) => ended),
    [false, true, false],
  );
});

test('metrics of feeds: how old each event with messages is, and how many messages came from the store', async () => {
  const b = fixture();
  const observed: unknown[] = [];
  const feeds = new Feeds(b.port, b.store.port, {
    event: (at) => observed.push(`event of ${at}`),
    repaired: (messages) => observed.push(`${messages} repaired`),
  });
  await live({ ...b, feeds }, 5);
  b.store.commit(6);
  for (const payload of [encodeMessages(5, 77, [6], ['m6']), encodeSignal('typing'), encodeRevoked(0, 'id')])
    void b.port.publish([{ channel: 'u:ann', payload }]);
  b.port.deliver();
  b.store.commit(7, 8);
  for (let i = 0; i < 2; i++) {
    feeds.resync();
    await settle();
  }
  assert.deepEqual([observed, b.store.asked], [['event of 77', '2 repaired'], 2]);
});

test('metrics of feeds: an event that a repair holds back counts when its messages are delivered, as the oldest such one; a known one does not', async () => {
  const b = fixture();
  const observed: number[] = [];
  const feeds = new Feeds(b.port, b.store.port, { event: (at) => observed.push(at), repaired() {} });
  const member = new Member();
  const feed = await feeds.join('ann', member);
  const event = (prev: number, at: number, id: number): void => {
    void b.port.publish([{ channel: 'u:ann', payload: encodeMessages(prev, at, [id], [`m${id}`]) }]);
    b.port.deliver();
  };
  event(4, 100, 5); // The store's head has it: the socket's own pages deliver it.
  feed.open(5);
  event(4, 100, 5);
  const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
  b.store.beforeAnswer = () => answered;
  b.store.commit(6, 7, 8);
  event(6, 300, 7); // 6 was lost.
  event(7, 400, 8);
  await settle();
  assert.deepEqual([observed, member.got], [[], []]);
  answer();
  await settle();
  assert.deepEqual([observed, member.got], [[300], ['6:m6', '7:m7', '8:m8']]);
  event(8, 500, 9);
  assert.deepEqual(observed, [300, 500]);
});

test('feeds: signals pass in every state; who left hears nothing, and the last one out ends the subscription', async () => {
  const b = fixture();
  const ann = await live(b, 0);
  const also = new Member();
  await b.feeds.join('ann', also);
  assert.equal(b.feeds.sockets('ann'), 2);
  b.feeds.leave('ann', ann);
  b.feeds.resync(); // It is repairing from here on.
  void b.port.publish([{ channel: 'u:ann', payload: encodeSignal('typing') }]);
  b.port.deliver();
  assert.deepEqual([ann.got, also.got], [[], ['typing']]);
  b.feeds.leave('ann', also);
  assert.deepEqual([b.port.channels, b.feeds.sockets('ann')], [[], 0]);
});

test('feeds: whoever joins while the bus refuses the subscription is told that this can not be done now, and may come again', async (t) => {
  const b = fixture();
  const subscribe = t.mock.method(b.port, 'subscribe', async () => {
    throw new Error('NOPERM User parley has no permissions');
  });
  const ann = new Member();
  await assert.rejects(b.feeds.join('ann', ann), { code: 'unavailable' });
  b.feeds.leave('ann', ann);
  subscribe.mock.restore();
  await b.feeds.join('ann', ann);
  assert.deepEqual(b.port.channels, ['u:ann']);
});
