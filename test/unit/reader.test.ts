import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import type { MessageFrame } from '../../src/contract/frames.ts';
import { LIMITS } from '../../src/contract/limits.ts';
import type { Db } from '../../src/db/open.ts';
import { openForReading } from '../../src/db/open.ts';
import { Reader } from '../../src/reader/reader.ts';
import type { Ledger } from '../../src/writer/ledger.ts';
import { commit, openLedger, openMigrated, register, send } from '../support/ledger.ts';
import { temporaryFolder } from '../support/server.ts';

const folder = temporaryFolder({ after });
let files = 0;

async function fixture(users: readonly string[]): Promise<{ ledger: Ledger; reader: Reader; db: Db }> {
  const path = `${folder}/${++files}.db`;
  const ledger = await openLedger(path);
  commit(
    ledger,
    users.map((user) => register(user)),
  );
  const db = openForReading(path);
  return { ledger, reader: new Reader(db), db };
}

type Model = { readonly id: number; readonly from: string; readonly to: string; readonly text: string };
const parse = (frames: readonly string[]): MessageFrame[] => frames.map((frame) => JSON.parse(frame));
const ids = (messages: readonly { id: number }[]): number[] => messages.map(({ id }) => id);
const isOf = (user: string) => (m: Model) => m.from === user || m.to === user;
const between = (one: string, two: string) => (m: Model) =>
  (m.from === one && m.to === two) || (m.from === two && m.to === one);

// Ids whose order in UTF-16 is not that of their bytes, and one that is another's prefix.
const USERS = ['ann', 'anna', '\uff21', '😀', 'zoe'];
const user = fc.constantFrom(...USERS);
const world = fc.record({
  messages: fc.array(fc.record({ from: user, to: user, text: fc.string({ minLength: 1, maxLength: 20 }) }), {
    maxLength: 80,
  }),
  reads: fc.array(fc.record({ user, peer: user, id: fc.nat(90) }), { maxLength: 10 }),
});

test('G4 catch-up, history, recent, conversations: as a plain list of messages has it', async () => {
  await fc.assert(
    fc.asyncProperty(
      world,
      fc.nat(90),
      fc.integer({ min: 1, max: 90 }),
      async ({ messages, reads }, bound, limit) => {
        const { ledger, reader, db } = await fixture(USERS);
        const model: Model[] = messages.map((m, i) => ({ ...m, id: i + 1 }));
        commit(
          ledger,
          model.map(({ id, from, to, text }) => send(from, to, text, `c${id}`)),
        );
        const markers = new Map<string, number>();
        for (const read of reads) {
          commit(ledger, [{ kind: 'mark-read', ...read }]);
          if (!model.some(between(read.user, read.peer))) continue;
          const key = `${read.user}>${read.peer}`;
          markers.set(key, Math.max(markers.get(key) ?? 0, Math.min(read.id, model.length)));
        }
        for (const me of USERS) {
          const mine = model.filter(isOf(me));
          const page = reader.catchUp({ user: me, since: bound });
          assert.deepEqual(page.ids, ids(mine.filter(({ id }) => id > bound)));
          assert.deepEqual(ids(parse(page.frames)), page.ids);
          assert.deepEqual(
            [page.upto, page.head, page.more, page.user],
            [model.length, model.length, false, 'known'],
          );

          const older = mine.filter(({ id }) => id < bound).reverse();
          const recent = reader.recent({ user: me, before: bound, limit });
          assert.deepEqual(
            recent.rows.map(([id, from, to, text]) => ({ id, from, to, text })),
            older.slice(0, limit).map(({ id, from, to, text }) => ({ id, from, to, text })),
          );
          assert.equal(recent.more, older.length > limit);

          for (const peer of USERS) {
            const shared = model.filter(between(me, peer)).filter(({ id }) => id < bound);
            const history = reader.history({ user: me, peer, before: bound, limit });
            assert.deepEqual(ids(parse(history.frames)), ids(shared.slice(-limit)));
            assert.equal(history.nextBefore, shared.length > limit ? shared.slice(-limit)[0]?.id : null);
          }

          const summaries = USERS.flatMap((peer) => {
            const shared = model.filter(between(me, peer));
            const last = shared.at(-1);
            if (last === undefined || last.id >= bound) return [];
            const read = markers.get(`${me}>${peer}`) ?? 0;
            const unread = shared.filter(({ id, from }) => id > read && from !== me).length;
            return [
              { user: peer, last: last.id, unread, read, peer_read: markers.get(`${peer}>${me}`) ?? 0 },
            ];
          }).sort((a, b) => b.last - a.last);
          const count = Math.min(limit, 3);
          const list = reader.conversations({ user: me, before: bound, limit: count });
          assert.deepEqual(
            list.conversations.map(({ user: peer, last_message, unread, read, peer_read }) => ({
              user: peer,
              last: last_message.id,
              unread,
              read,
              peer_read,
            })),
            summaries.slice(0, count),
          );
          assert.equal(list.nextBefore, summaries.length > count ? summaries[count - 1]?.last : null);
        }
        db.close();
        ledger.close();
      },
    ),
    { numRuns: 40 },
  );
});

test('G4 catch-up, recent: pages hold all and only the messages of a user with many conversations, few of them or most', async () => {
  const peers = Array.from({ length: 70 }, (_, i) => `peer${i}`);
  /** So many messages in a row, and the share of them that is to the hub. */
  const stretch = fc.tuple(fc.integer({ min: 0, max: 500 }), fc.constantFrom(0, 0.02, 0.5, 1));
  await fc.assert(
    fc.asyncProperty(
      fc.array(stretch, { maxLength: 3 }),
      fc.infiniteStream(fc.noBias(fc.nat(9_999))),
      fc.constantFrom(3, peers.length),
      fc.integer({ min: 1, max: 250 }),
      fc.nat(500),
      async (stretches, dice, count, limit, since) => {
        const { ledger, reader, db } = await fixture(['hub', 'ann', 'bob', ...peers]);
        const roll = (): number => (dice.next().value ?? 0) / 10_000;
        const toHub: number[] = [];
        const messages = stretches
          .flatMap(([length, share]) => Array<number>(length).fill(share))
          .map((share, i) => {
            if (roll() >= share) return send('ann', 'bob', 'x', `c${i}`);
            toHub.push(i + 1);
            return send(peers[Math.floor(roll() * count)] as string, 'hub', 'x', `c${i}`);
          });
        if (messages.length > 0) commit(ledger, messages);
        for (let from = since, left = toHub.filter((id) => id > since); ; ) {
          const page = reader.catchUp({ user: 'hub', since: from });
          assert.deepEqual(page.ids, left.slice(0, LIMITS.catchUpPage));
          assert.deepEqual(ids(parse(page.frames)), page.ids);
          left = left.slice(LIMITS.catchUpPage);
          assert.equal(page.more, left.length > 0);
          from = page.upto;
          if (!page.more) break;
        }
        for (let before: number | undefined, left = toHub.toReversed(); ; ) {
          const { rows, more } = reader.recent({
            user: 'hub',
            limit,
            ...(before !== undefined && { before }),
          });
          assert.deepEqual(
            rows.map(([id]) => id),
            left.slice(0, limit),
          );
          left = left.slice(limit);
          assert.equal(more, left.length > 0);
          before = rows.at(-1)?.[0];
          if (!more) break;
        }
        db.close();
        ledger.close();
      },
    ),
    { numRuns: 40 },
  );
});

/** The database, counting the rows that its statements answer, and those of them that have a text. */
function counting(db: Db): { db: Db; rows: number; texts: number } {
  const counted = { db, rows: 0, texts: 0 };
  const count = <Answer>(answer: Answer): Answer => {
    for (const row of Array.isArray(answer) ? answer : [answer]) {
      counted.rows++;
      if (typeof row === 'object' && row !== null && 'message' in row) counted.texts++;
    }
    return answer;
  };
  type Prepared = ReturnType<typeof db.prepare<unknown[]>>;
  const each = function* (answers: Iterable<unknown>): Generator<unknown> {
    for (const answer of answers) yield count(answer);
  };
  const statement = (prepared: Prepared): Prepared =>
    Object.assign(Object.create(prepared), {
      iterate: (...params: unknown[]) => each(prepared.iterate(...params)),
      all: (...params: unknown[]) => count(prepared.all(...params)),
      get: (...params: unknown[]) => count(prepared.get(...params)),
      pluck: () => statement(prepared.pluck()),
      raw: () => statement(prepared.raw()),
    });
  counted.db = Object.assign(Object.create(db), {
    prepare: (sql: string) => statement(db.prepare<unknown[]>(sql)),
    transaction: db.transaction.bind(db),
  });
  return counted;
}

test('G6 bounded: what is read for a page is as much as the page, not as the user has conversations', async () => {
  const peers = Array.from({ length: 1_500 }, (_, i) => `peer${i}`);
  const { ledger, db } = await fixture(['hub', 'ann', 'bob', ...peers]);
  const others = Array.from({ length: 4_000 }, (_, i) => i);
  commit(
    ledger,
    others.map((i) => send('ann', 'bob', 'x', `before ${i}`)),
  );
  for (let i = 0; i < 3; i++)
    commit(
      ledger,
      peers.map((peer) => send(peer, 'hub', 'x', `${peer} ${i}`)),
    );
  commit(
    ledger,
    others.map((i) => send('ann', 'bob', 'x', `after ${i}`)),
  );
  const counted = counting(db);
  const reader = new Reader(counted.db);
  const size = LIMITS.catchUpPage;
  const first = others.length + 1;
  const last = others.length + 3 * peers.length;
  const reads: [string, () => number][] = [
    ['catch-up past the traffic of others', () => reader.catchUp({ user: 'hub', since: 0 }).ids.length],
    ['catch-up', () => reader.catchUp({ user: 'hub', since: first - 1 }).ids.length],
    ['recent past the traffic of others', () => reader.recent({ user: 'hub', limit: size }).rows.length],
    ['recent', () => reader.recent({ user: 'hub', limit: size, before: last + 1 }).rows.length],
  ];
  for (const [name, read] of reads) {
    counted.rows = counted.texts = 0;
    assert.equal(read(), size);
    // One more text than a page tells that there are more.
    assert.equal(counted.texts, size + 1, `${name}: ${counted.texts} texts for a page of ${size}`);
    assert.ok(counted.rows < 6 * size, `${name}: ${counted.rows} rows for a page of ${size}`);
  }
  db.close();
  ledger.close();
});

test('G6, H6, H8, H9 bounded: of the old chat app’s long texts, pictures of megabytes, no more are read than an answer has room for', async () => {
  const path = `${folder}/${++files}.db`;
  const old = new Database(path);
  old.exec(`
    CREATE TABLE messages (sender TEXT, receiver TEXT, message TEXT, timestamp DATETIME DEFAULT CURRENT_TIMESTAMP);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12)
      INSERT INTO messages (sender, receiver, message)
      SELECT 'ann', CASE WHEN i <= 6 THEN 'bob' ELSE 'peer' || i END, hex(zeroblob(${2 ** 19})) FROM n;`);
  old.close();
  (await openMigrated(path)).close();
  const db = openForReading(path);
  const counted = counting(db);
  const reader = new Reader(counted.db);
  const pages = (read: (from: number | undefined) => { taken: number; next: number | null }): number => {
    let all = 0;
    for (let from: number | null | undefined; from !== null; ) {
      counted.texts = 0;
      const { taken, next } = read(from);
      assert.ok(counted.texts <= taken + 1, `${counted.texts} texts for ${taken}`);
      assert.ok(taken <= 2, `${taken} messages of a mebi unit each in one answer`);
      all += taken;
      from = next;
    }
    return all;
  };
  const before = (from: number | undefined) => (from === undefined ? {} : { before: from });
  const counts = {
    catchUp: pages((since = 0) => {
      const { ids: taken, more, upto } = reader.catchUp({ user: 'ann', since });
      return { taken: taken.length, next: more ? upto : null };
    }),
    recent: pages((from) => {
      const { rows, more } = reader.recent({ user: 'ann', limit: 10_000, ...before(from) });
      return { taken: rows.length, next: more ? (rows.at(-1)?.[0] as number) : null };
    }),
    history: pages((from) => {
      const { frames, nextBefore } = reader.history({
        user: 'ann',
        peer: 'bob',
        limit: LIMITS.historyPageMax,
        ...before(from),
      });
      return { taken: frames.length, next: nextBefore };
    }),
    conversations: pages((from) => {
      const page = reader.conversations({
        user: 'ann',
        limit: LIMITS.conversationsPageMax,
        ...before(from),
      });
      return { taken: page.conversations.length, next: page.nextBefore };
    }),
  };
  assert.deepEqual(counts, { catchUp: 12, recent: 12, history: 6, conversations: 7 });
  db.close();
});

test('G6, H9 bounded: unread messages are counted among the 5,000 newest after the marker: one’s own, which move no marker, are not all read', async () => {
  const { ledger, reader } = await fixture(['bot', 'bob']);
  const unread = (): number | undefined =>
    reader.conversations({ user: 'bot', limit: 1 }).conversations[0]?.unread;
  const sends = (count: number, name: string) =>
    Array.from({ length: count }, (_, i) => send('bot', 'bob', 'x', `${name} ${i}`));
  commit(ledger, [
    send('bob', 'bot', 'one', 'c1'),
    send('bob', 'bot', 'two', 'c2'),
    ...sends(4_998, 'early'),
  ]);
  assert.equal(unread(), 2);
  commit(ledger, sends(1, 'then'));
  assert.equal(unread(), 1);
  commit(ledger, sends(1, 'late'));
  assert.equal(unread(), 0);
  commit(
    ledger,
    Array.from({ length: LIMITS.unreadCounted + 1 }, (_, i) => send('bob', 'bot', 'x', `many ${i}`)),
  );
  assert.equal(unread(), LIMITS.unreadCounted);
});

test('G6, H9 bounded: a page ends when its search for unread messages has read enough: 200 conversations of 5,000 sent messages took a second', async () => {
  const path = `${folder}/${++files}.db`;
  const file = await openMigrated(path);
  const [peers, each] = [LIMITS.conversationsSearched / 5_000 + 3, 5_001];
  file.exec(`
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${peers})
      INSERT INTO conversations (id, user_a, user_b) SELECT i, 'ann', 'peer' || i FROM n;
    INSERT INTO members (user_id, conversation_id, peer) SELECT user_a, id, user_b FROM conversations;
    INSERT INTO members (user_id, conversation_id, peer) SELECT user_b, id, user_a FROM conversations;
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${peers * each - 1})
      INSERT INTO messages (conversation_id, sender, receiver, message)
      SELECT i % ${peers} + 1, 'ann', 'peer' || (i % ${peers} + 1), 'x' FROM n;`);
  file.close();
  const db = openForReading(path);
  const reader = new Reader(db);
  const first = reader.conversations({ user: 'ann', limit: 200 });
  assert.equal(first.conversations.length, LIMITS.conversationsSearched / 5_000);
  assert.ok(first.nextBefore !== null);
  const second = reader.conversations({ user: 'ann', limit: 200, before: first.nextBefore });
  assert.equal(second.nextBefore, null);
  assert.deepEqual(
    [...first.conversations, ...second.conversations].map(({ user }) => user),
    Array.from({ length: peers }, (_, i) => `peer${peers - i}`),
    'none is left out',
  );
  db.close();
});

test('G4 catch-up: pages of 200 follow each other without gap or repeat, each with a valid since', async () => {
  const { ledger, reader, db } = await fixture(USERS);
  const total = LIMITS.catchUpPage * 2 + 7;
  commit(
    ledger,
    Array.from({ length: total }, (_, i) => send('ann', USERS[i % USERS.length] as string, `${i}`, `c${i}`)),
  );
  const pages: number[][] = [];
  for (let since = 0; ; ) {
    const page = reader.catchUp({ user: 'ann', since });
    pages.push([...page.ids]);
    since = page.upto;
    if (!page.more) break;
    assert.equal(page.upto, page.ids.at(-1));
  }
  assert.deepEqual(
    pages.map(({ length }) => length),
    [200, 200, 7],
  );
  assert.deepEqual(
    pages.flat(),
    Array.from({ length: total }, (_, i) => i + 1),
  );
  assert.deepEqual(reader.catchUp({ user: 'ann', since: total + 5 }).ids, []);
  assert.deepEqual(reader.catchUp({ user: 'ann' }).ids, [], 'without since there is only the head');
  assert.equal(reader.catchUp({ user: 'ann' }).head, total);
  assert.equal(reader.catchUp({ user: 'nobody', since: 0 }).user, 'unknown');
  db.close();
});

test('L6, H8 bounded: a page of catch-up is well below what a socket may have unsent, whatever the script', async () => {
  const { ledger, reader, db } = await fixture(['ann', 'bob']);
  for (const [i, letter] of ['€', '\u0001', '😀'].entries()) {
    commit(
      ledger,
      Array.from({ length: 250 }, (_, n) =>
        send('ann', 'bob', letter.repeat(8_000 / letter.length), `${i}-${n}`),
      ),
    );
  }
  for (let since = 0, more = true; more; ) {
    const page = reader.catchUp({ user: 'bob', since });
    const bytes = page.frames.reduce((sum, frame) => sum + Buffer.byteLength(frame), 0);
    assert.ok(
      bytes < LIMITS.unsentBytes,
      `${bytes} bytes in one page: the next frame would close the socket (4431)`,
    );
    ({ upto: since, more } = page);
  }
  const recent = reader.recent({ user: 'bob', limit: 10_000 });
  assert.ok(recent.more && recent.rows.length < 200);
  const ids: number[] = [];
  for (let before: number | null = LIMITS.recentMessages; before !== null; ) {
    const page = reader.history({ user: 'bob', peer: 'ann', before, limit: LIMITS.historyPageMax });
    const texts = page.frames.map((frame) => (JSON.parse(frame) as { message: string }).message.length);
    const units = texts.reduce((sum, length) => sum + length, 0);
    assert.ok(
      units - (texts[0] as number) < LIMITS.pageUnits,
      'H8: the one that reaches the bound is the last',
    );
    if (page.nextBefore !== null) assert.ok(units >= LIMITS.pageUnits);
    ids.unshift(...page.frames.map((frame) => (JSON.parse(frame) as { id: number }).id));
    before = page.nextBefore;
  }
  assert.deepEqual(
    ids,
    Array.from({ length: 750 }, (_, i) => i + 1),
    'H8: short pages leave nothing out',
  );
  db.close();
});

test('A5 tokens: revoked for a user who does not exist, an older version or one of a past that was undone, an ended id; valid otherwise', async () => {
  const { ledger, reader, db } = await fixture(['ann']);
  const v = reader.credentials({ user: 'ann' })?.version as number;
  const state = (user: string, tokenId: string, version: number): string =>
    reader.tokenState({ user, tokenId, version });
  assert.equal(state('nobody', 't', v), 'revoked');
  assert.equal(state('ann', 't', v), 'valid');
  assert.deepEqual([state('ann', 't', v + 1), state('ann', 't', v - 1)], ['revoked', 'revoked']);
  commit(ledger, [{ kind: 'logout', user: 'ann', tokenId: 't', expiresAt: 4e9 }]);
  assert.deepEqual([state('ann', 't', v), state('ann', 'u', v)], ['revoked', 'valid']);
  const tokens = [
    { tokenId: 't', version: v },
    { tokenId: 'u', version: v },
  ];
  assert.deepEqual(reader.catchUp({ user: 'ann', tokens }).tokens, ['revoked', 'valid']);
  db.close();
});

test('H10 users: exactly those that begin with the prefix, in byte order, however odd the letters', async () => {
  const letter = fc.constantFrom('a', 'b', '_', '%', 'é', '\uff21', '😀', '\uffee');
  const id = fc.array(letter, { minLength: 1, maxLength: 4 }).map((letters) => letters.join(''));
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(id, { maxLength: 20 }),
      fc.array(letter, { maxLength: 2 }).map((letters) => letters.join('')),
      fc.option(id, { nil: undefined }),
      fc.option(id, { nil: undefined }),
      fc.integer({ min: 1, max: 10 }),
      async (all, prefix, except, after_, limit) => {
        const { ledger, reader, db } = await fixture(all);
        const expected = all
          .filter((one) => one.startsWith(prefix) && one !== except)
          .filter((one) => after_ === undefined || Buffer.compare(Buffer.from(one), Buffer.from(after_)) > 0)
          .sort((one, two) => Buffer.compare(Buffer.from(one), Buffer.from(two)))
          .slice(0, limit);
        const found = reader.users({
          prefix,
          limit,
          ...(except !== undefined && { except }),
          ...(after_ !== undefined && { after: after_ }),
        });
        assert.deepEqual(found.users, expected);
        db.close();
        ledger.close();
      },
    ),
    { numRuns: 60 },
  );
});

for (const encoding of ['UTF-16le', 'UTF-16be']) {
  test(`H10 users: all that begin with the prefix, in an old file whose encoding is ${encoding}`, async () => {
    const path = `${folder}/${encoding}.db`;
    const old = new Database(path);
    const users = ['ann', 'anｂ', 'an\u{1F600}', 'ÿ', 'Ā', 'Ａｂ', '\ufeffx', '\u{1F600}'];
    old.exec(`PRAGMA encoding = '${encoding}'; CREATE TABLE users (user_id TEXT PRIMARY KEY, password TEXT)`);
    for (const one of users) old.prepare('INSERT INTO users VALUES (?, NULL)').run(one);
    old.close();
    const db = await openMigrated(path);
    const reader = new Reader(db);
    for (const prefix of ['', 'an', 'ÿ', 'Ａ', '\ufeff', '\u{1F600}']) {
      const found = [...reader.users({ prefix, limit: 100 }).users];
      assert.deepEqual(found.sort(), users.filter((one) => one.startsWith(prefix)).sort());
    }
    db.close();
  });
}
