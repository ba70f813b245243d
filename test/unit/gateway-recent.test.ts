import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Semaphore } from '../../src/base/semaphore.ts';
import { LIMITS } from '../../src/contract/limits.ts';
import type { Queries, QueryName, QueryPort, StoredRow } from '../../src/core/queries.ts';
import * as messages from '../../src/gateway/http/messages.ts';
import type { Identity } from '../../src/gateway/identities.ts';
import { settle } from '../support/scripted-bus.ts';
import { waitFor } from '../support/wait.ts';

const ANN = { user: 'ann', claims: undefined };

const recent = (
  queries: QueryPort,
  identity: Identity,
  request: Parameters<typeof messages.recent>[2],
  gone: () => boolean,
  longAnswers = new Semaphore(1),
): Promise<Buffer> => messages.recent(queries, identity, request, gone, longAnswers);

/** A store with these rows, which it tells `most` at a time. */
const storeOf = (
  rows: readonly StoredRow[],
  most: number,
  users: readonly string[] = ['bob', 'eve'],
): QueryPort => ({
  ask: (async (name: QueryName, params: Partial<Queries['recent']['params']>) => {
    const { before = Number.MAX_SAFE_INTEGER, limit = 0 } = params;
    if (name === 'users') return { users: users.slice(0, limit) };
    const found = rows.filter(([id]) => id < before).reverse();
    const told = found.slice(0, Math.min(limit, most));
    return { rows: told, more: told.length < found.length };
  }) as QueryPort['ask'],
});

const TEXTS = ['hi', 'über', '😀', '"\\\n\u0001', '\u2028', ''];
const PEERS = ['bob', '__proto__', '7', '1', 'a"b,c', 'bob', 'ann', '7'];
const ROWS: StoredRow[] = Array.from({ length: 40 }, (_, i) => {
  const peer = PEERS[i % PEERS.length] as string;
  const [sender, receiver] = i % 3 === 0 ? ['ann', peer] : [peer, 'ann'];
  return [i + 1, sender, receiver, TEXTS[i % TEXTS.length] as string, '2026-01-31 12:00:00'];
});

for (const [limit, most] of [
  [100, 100],
  [100, 7],
  [10, 3],
  [40, 40],
  [1, 1],
] as const) {
  test(`H6: ${limit} messages, told ${most} at a time, are bytes of JSON: by the other participant, oldest first`, async () => {
    const answer = await recent(storeOf(ROWS, most), ANN, { user_id: 'ann', limit }, () => false);
    assert.ok(Buffer.isBuffer(answer), 'nothing that it is made of is kept');
    const expected = ROWS.slice(-limit);
    const conversations: Record<string, unknown[]> = Object.create(null);
    for (const [id, sender, receiver, message, timestamp] of expected) {
      const other = sender === 'ann' ? receiver : sender;
      conversations[other] ??= [];
      conversations[other].push({ sender, receiver, message, timestamp, id });
    }
    const text = answer.toString();
    const { next_before: nextBefore, ...rest } = JSON.parse(text);
    assert.deepEqual(Object.entries(rest.conversations).sort(), Object.entries(conversations).sort());
    assert.deepEqual(rest.users, ['bob', 'eve']);
    assert.equal(nextBefore, limit < ROWS.length ? expected[0]?.[0] : undefined);
    const at = [...new Set(expected.map(([, from, to]) => (from === 'ann' ? to : from)))].map((peer) =>
      text.indexOf(`${JSON.stringify(peer)}:[`),
    );
    assert.deepEqual(
      at,
      [...at].sort((a, b) => a - b),
      'who was written to first comes first',
    );
  });
}

test('H6: who has no messages gets no conversations', async () => {
  const answer = await recent(storeOf([], 10), ANN, { user_id: 'ann' }, () => false);
  assert.deepEqual(JSON.parse(answer.toString()), { conversations: {}, users: ['bob', 'eve'] });
});

test('H6: an answer whose texts reach 8 Mi UTF-16 units ends there, and says where older ones begin', async () => {
  const text = 'x'.repeat(LIMITS.recentUnits / 4);
  const rows: StoredRow[] = Array.from({ length: 8 }, (_, i) => [i + 1, 'bob', 'ann', text, '']);
  for (const [count, next] of [
    [8, 5],
    [5, 2],
    [4, undefined],
  ] as const) {
    const answer = await recent(storeOf(rows.slice(0, count), 1), ANN, { user_id: 'ann' }, () => false);
    const { conversations, next_before: nextBefore } = JSON.parse(answer.toString());
    assert.deepEqual([conversations.bob.length, nextBefore], [4, next]);
  }
});

test('H6: 10,000 users are listed, and it is said where there are more', async () => {
  const all = Array.from({ length: LIMITS.recentUsers + 1 }, (_, i) => `user-${i}`);
  for (const [count, truncated] of [
    [LIMITS.recentUsers, undefined],
    [LIMITS.recentUsers + 1, true],
  ] as const) {
    const answer = await recent(storeOf([], 1, all.slice(0, count)), ANN, { user_id: 'ann' }, () => false);
    const { users, users_truncated: said } = JSON.parse(answer.toString());
    assert.deepEqual([users, said], [all.slice(0, LIMITS.recentUsers), truncated]);
  }
});

test('L10: for one who has gone nothing more is read', async () => {
  const store = storeOf(ROWS, 5);
  const asked: QueryName[] = [];
  const ask = ((name: QueryName, ...rest: [never]) => {
    asked.push(name);
    return store.ask(name, ...rest);
  }) as QueryPort['ask'];
  await recent({ ask }, ANN, { user_id: 'ann' }, () => asked.length > 2);
  assert.deepEqual(asked, ['recent', 'recent', 'recent']);
});

test('L10: of answers longer than a page, as many are made at once as there are places: a dozen accounts took all memory of a gateway', async () => {
  const store = storeOf(ROWS, 5);
  const places = new Semaphore(2);
  const waiting: (() => void)[] = [];
  let under = 0;
  /** Answers a first page at once, and those that follow when it is told to. */
  const ask = (async (name: QueryName, params: Queries['recent']['params']) => {
    if (name === 'recent' && params.before !== undefined) {
      under++;
      await new Promise<void>((resolve) => waiting.push(resolve));
      under--;
    }
    return store.ask(name, params as never);
  }) as QueryPort['ask'];
  const make = (limit: number, gone = () => false): Promise<Buffer> =>
    recent({ ask }, ANN, { user_id: 'ann', limit }, gone, places);
  const long = [1, 2, 3].map(() => make(15));
  await settle();
  assert.equal(under, 2, 'the third waits');
  assert.equal(JSON.parse((await make(5)).toString()).next_before, 36, 'a short one does not wait');
  let left = false;
  const leaver = make(15, () => left);
  left = true;
  const failing = recent(
    {
      ask: (async (name: QueryName, params: Queries['recent']['params']) => {
        if (params.before !== undefined) throw new Error('no answer');
        return store.ask(name, params as never);
      }) as QueryPort['ask'],
    },
    ANN,
    { user_id: 'ann' },
    () => false,
    places,
  );
  failing.catch(() => {});
  const halfFailing = recent(
    {
      ask: ((name: QueryName, params: never) =>
        name === 'users'
          ? Promise.reject(new Error('no users'))
          : store.ask(name, params)) as QueryPort['ask'],
    },
    ANN,
    { user_id: 'ann' },
    () => false,
    places,
  );
  halfFailing.catch(() => {});
  while (waiting.length > 0) {
    assert.ok(under <= 2);
    waiting.shift()?.();
    await settle();
  }
  for (const answer of await Promise.all(long)) assert.equal(JSON.parse(answer.toString()).next_before, 26);
  await leaver;
  await assert.rejects(failing, /no answer/);
  await assert.rejects(halfFailing, /no users/);
  assert.ok(places.idle, 'whatever became of an answer, its place is free');
});

test('L10: an answer that waits for a place keeps nothing of what was read, and is begun anew: hundreds that waited filled the memory', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const text = 'x'.repeat(LIMITS.pageUnits);
  const store = storeOf(
    [1, 2, 3].map((id): StoredRow => [id, 'bob', 'ann', text, '']),
    1,
  );
  const places = new Semaphore(1);
  const leave = await places.acquire();
  collect();
  const before = process.memoryUsage().arrayBuffers;
  const asked: QueryName[] = [];
  const ask = ((name: QueryName, ...rest: [never]) => {
    asked.push(name);
    return store.ask(name, ...rest);
  }) as QueryPort['ask'];
  const waiting = Array.from({ length: 40 }, () =>
    recent({ ask }, ANN, { user_id: 'ann' }, () => false, places),
  );
  await settle();
  assert.equal(places.waiting, 40);
  assert.deepEqual(new Set(asked), new Set(['recent']), 'the list of users is not read for nothing');
  let left = false;
  const leaver = recent(store, ANN, { user_id: 'ann' }, () => left, places);
  await settle();
  left = true;
  // What was collected is given back a little later, by a thread.
  const kept = (): number => process.memoryUsage().arrayBuffers - before;
  await waitFor(
    () => {
      collect();
      return kept() < 10 * LIMITS.pageUnits;
    },
    20_000,
    () => `${kept()} bytes for 40 that wait`,
  );
  leave();
  await assert.rejects(
    leaver,
    { code: 'unavailable' },
    'nothing more is read for one who has left meanwhile',
  );
  for (const answer of waiting)
    assert.equal(JSON.parse((await answer).toString()).conversations.bob.length, 3);
  assert.ok(places.idle);
});
