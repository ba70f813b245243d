import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerQuery, QueryClient } from '../../src/bus/query-client.ts';
import { type Bus, RequestTimeout } from '../../src/core/bus.ts';
import type { QueryHandlers, TokenClaims } from '../../src/core/queries.ts';

type Asked = { readonly payload: string; readonly timeoutMs: number };

/** A bus of requests alone, which `answer` answers. */
function busOf(answer: (asked: Asked) => Promise<string>): { bus: Bus; asked: Asked[] } {
  const asked: Asked[] = [];
  const request: Bus['request'] = (payload, timeoutMs) => {
    asked.push({ payload, timeoutMs });
    return answer({ payload, timeoutMs });
  };
  return { bus: { request } as Bus, asked };
}

const INFO = { epoch: 'e', tokenSecret: 's' };
const TOKEN: TokenClaims = { user: 'ann', tokenId: 't', version: 1, expiresAt: 9 };

/** Handlers of which a test needs these. */
const handlersOf = (some: Partial<QueryHandlers>): QueryHandlers => some as QueryHandlers;

test('G6: ten thousand queries may be under way; one more is overloaded, until one is answered or fails', async () => {
  const waiting: PromiseWithResolvers<string>[] = [];
  const { bus, asked } = busOf(() => {
    const answer = Promise.withResolvers<string>();
    waiting.push(answer);
    return answer.promise;
  });
  const queries = new QueryClient(bus);
  const overloaded = () => assert.rejects(queries.ask('info', {}), { code: 'overloaded' });
  const outcomes = Array.from({ length: 10_000 }, () => queries.ask('info', {}).catch(() => 'failed'));
  await overloaded();
  assert.equal(asked.length, 10_000);
  waiting[0]?.resolve(JSON.stringify({ ok: INFO }));
  assert.deepEqual(await outcomes[0], INFO);
  void queries.ask('info', {});
  assert.equal(asked.length, 10_001);
  await overloaded();
  waiting[1]?.reject(new Error('the bus is gone'));
  assert.equal(await outcomes[1], 'failed');
  void queries.ask('info', {});
  assert.equal(asked.length, 10_002);
  await overloaded();
});

test('a query whose answer is lost is asked twice, two seconds each, then it is unavailable; one that the bus refuses is unavailable at once', async () => {
  const lost = busOf(async ({ timeoutMs }) => Promise.reject(new RequestTimeout(timeoutMs)));
  await assert.rejects(new QueryClient(lost.bus).ask('info', {}), { code: 'unavailable' });
  assert.deepEqual(
    lost.asked.map(({ timeoutMs }) => timeoutMs),
    [2_000, 2_000],
  );
  let tries = 0;
  const second = busOf(async ({ timeoutMs }) => {
    if (++tries === 1) throw new RequestTimeout(timeoutMs);
    return JSON.stringify({ ok: INFO });
  });
  assert.deepEqual(await new QueryClient(second.bus).ask('info', {}), INFO);
  // Redis does not let this user hear answers, for example.
  const refused = busOf(async () => Promise.reject(new Error('NOPERM User parley has no permissions')));
  await assert.rejects(new QueryClient(refused.bus).ask('info', {}), {
    code: 'unavailable',
    message: 'The store does not answer: try again shortly.',
  });
  assert.equal(refused.asked.length, 1);
});

test('G9: a query by a token that was ended is answered so, and reads nothing; one by a token that counts is', async () => {
  let state: 'valid' | 'revoked' = 'revoked';
  const read: unknown[] = [];
  const handlers = handlersOf({
    tokenState: () => state,
    info: (params) => {
      read.push(params);
      return INFO;
    },
  });
  const { bus } = busOf(async ({ payload }) => answerQuery(handlers, payload, assert.fail));
  const ended: TokenClaims[] = [];
  const queries = new QueryClient(bus, (token) => ended.push(token));
  await assert.rejects(queries.ask('info', {}, TOKEN), { code: 'token_revoked' });
  assert.deepEqual([read, ended], [[], [TOKEN]]);
  state = 'valid';
  assert.deepEqual(await queries.ask('info', {}, TOKEN), INFO);
  state = 'revoked';
  assert.deepEqual(await queries.ask('info', {}), INFO, 'without a token there is none to ask of');
});

test('upgrade: a query that a gateway of a newer version asks is refused in words that say so', async () => {
  const failures: string[] = [];
  const onError = (name: string, error: unknown): string => {
    failures.push(name);
    return (error as Error).message;
  };
  const { bus } = busOf(async ({ payload }) =>
    answerQuery(handlersOf({ info: () => INFO }), payload, onError),
  );
  await assert.rejects(new QueryClient(bus).ask('reactions' as never, {} as never), {
    code: 'unavailable',
    message: /^The store can't answer: it knows no query 'reactions', .*: upgrade the store, too\.$/,
  });
  assert.deepEqual(failures, ['reactions']);
});

test('a query that fails, or can not be read, is answered: unavailable, with the reason that the reader gives', async () => {
  const failures: [string, string][] = [];
  const handlers = handlersOf({
    info: () => {
      throw new Error('page 7');
    },
  });
  const answer = (payload: string): string =>
    answerQuery(handlers, payload, (name, error) => {
      failures.push([name, (error as Error).message]);
      return 'the file is corrupt';
    });
  const { bus } = busOf(async ({ payload }) => answer(payload));
  await assert.rejects(new QueryClient(bus).ask('info', {}), {
    code: 'unavailable',
    message: "The store can't answer: the file is corrupt.",
  });
  assert.deepEqual(failures, [['info', 'page 7']]);
  assert.deepEqual(JSON.parse(answer('{')), { error: 'the file is corrupt' });
  assert.equal(failures[1]?.[0], 'unreadable');
});
