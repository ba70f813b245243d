import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QueryClient } from '../../src/bus/query-client.ts';
import type { Bus } from '../../src/core/bus.ts';
import type { QueryPort } from '../../src/core/queries.ts';
import { Identities } from '../../src/gateway/identities.ts';
import { TEST_SECRET } from '../support/server.ts';

test('L10: a token that the store has once said to be ended is refused without asking again; others of its user are not', async () => {
  let asked = 0;
  const bus = {
    request: async () => {
      asked++;
      return JSON.stringify({ revoked: true });
    },
  } as unknown as Bus;
  const queries = new QueryClient(bus, (token) => identities.ended(token));
  const identities = new Identities({ mode: 'required', secrets: [TEST_SECRET], tokenTtlS: 60 }, queries);
  const issue = async (): Promise<string> => (await identities.issue('ann', 0))?.token as string;
  const [ended, other] = [await issue(), await issue()];
  const { claims } = await identities.identify('ann', undefined, ended);
  const search = { prefix: '', except: 'ann', limit: 1 };
  await assert.rejects(queries.ask('users', search, claims), { code: 'token_revoked' });
  await assert.rejects(identities.identify('ann', undefined, ended), { code: 'token_revoked' });
  await assert.rejects(identities.identify(undefined, claims), { code: 'token_revoked' }, 'of a socket');
  assert.equal(asked, 1);
  assert.equal((await identities.identify('ann', undefined, other)).user, 'ann');
});

test('G6: ten thousand ended tokens are remembered, and then the oldest is forgotten: the store still knows it', async () => {
  const settings = { mode: 'required', secrets: [TEST_SECRET], tokenTtlS: 60 } as const;
  const identities = new Identities(settings, {} as QueryPort);
  const claimsOf = (tokenId: number) => ({ user: 'ann', tokenId: `${tokenId}`, version: 0, expiresAt: 9e9 });
  for (let i = 0; i <= 10_000; i++) identities.ended(claimsOf(i));
  await identities.identify('ann', claimsOf(0));
  for (const i of [1, 10_000])
    await assert.rejects(identities.identify('ann', claimsOf(i)), { code: 'token_revoked' });
});

test('A3: where the settings name no secret, it is that of the database that leads now, which may be another one; a secret that is named counts whatever the database has', async () => {
  const nobody = {} as QueryPort;
  const made = (secrets: string[]): Identities =>
    new Identities({ mode: 'required', secrets, tokenTtlS: 60 }, nobody);
  const [old, ours, named] = [made([]), made([]), made([TEST_SECRET])];
  const tokenOf = async (identities: Identities) => (await identities.issue('ann', 0))?.token as string;
  for (const identities of [old, ours, named]) identities.learnSecret('of the first database');
  const [before, theirs] = [await tokenOf(old), await tokenOf(named)];
  assert.equal((await ours.identify('ann', undefined, before)).user, 'ann');
  for (const identities of [ours, named]) identities.learnSecret('of another database');
  await assert.rejects(ours.identify('ann', undefined, before), { code: 'unauthorized' });
  assert.equal((await named.identify('ann', undefined, theirs)).user, 'ann');
  old.learnSecret('of another database');
  assert.equal((await ours.identify('ann', undefined, await tokenOf(old))).user, 'ann');
});

test('G9 identify: whoever has a token is its user and nobody else; without one, nobody; in AUTH=open, whoever they say', async () => {
  const settings = { mode: 'required', secrets: [TEST_SECRET], tokenTtlS: 60 } as const;
  const identities = new Identities(settings, {} as QueryPort);
  const { token, expires_at } = (await identities.issue('ann', 3)) as { token: string; expires_at: string };
  const claims = await identities.verify(token);
  assert.equal(Date.parse(expires_at), claims.expiresAt * 1000);
  const ann = { user: 'ann', claims };
  for (const user of ['ann', undefined]) {
    assert.deepEqual(await identities.identify(user, undefined, token), ann);
    assert.deepEqual(await identities.identify(user, claims), ann);
  }
  await assert.rejects(identities.identify('bob', undefined, token), { code: 'forbidden' });
  await assert.rejects(identities.identify('', claims), { code: 'forbidden' });
  await assert.rejects(identities.identify('ann', undefined), { code: 'unauthorized' });
  await assert.rejects(identities.identify('ann', undefined, `${token}x`), { code: 'unauthorized' });
  const open = new Identities({ mode: 'open' }, {} as QueryPort);
  assert.equal(await open.issue('ann', 3), undefined);
  assert.deepEqual(await open.identify('bob', undefined, token), { user: 'bob', claims: undefined });
  for (const nobody of ['', undefined])
    await assert.rejects(open.identify(nobody, undefined), { code: 'missing_user' });
});

test('A5 current: the store is asked whether the token of an identity was revoked; in AUTH=open there is none to ask about', async () => {
  const asked: unknown[] = [];
  let state = 'valid';
  const ask = async (name: string, params: unknown): Promise<string> => {
    asked.push([name, params]);
    return state;
  };
  const identities = new Identities({ mode: 'open' }, { ask } as unknown as QueryPort);
  const claims = { user: 'ann', tokenId: 'one', version: 3, expiresAt: 9e9 };
  await identities.current({ user: 'ann', claims: undefined });
  assert.deepEqual(asked, []);
  await identities.current({ user: 'ann', claims });
  assert.deepEqual(asked, [['tokenState', { user: 'ann', tokenId: 'one', version: 3 }]]);
  state = 'revoked';
  await assert.rejects(identities.current({ user: 'ann', claims }), { code: 'token_revoked' });
});

test('L10: a token that a logout or a change of password has found ended is refused from then on without asking', async () => {
  const settings = { mode: 'required', secrets: [TEST_SECRET], tokenTtlS: 60 } as const;
  const identities = new Identities(settings, { ask: async () => 'revoked' } as unknown as QueryPort);
  const claims = { user: 'ann', tokenId: 'one', version: 3, expiresAt: 9e9 };
  const identity = await identities.identify('ann', claims);
  await assert.rejects(identities.current(identity), { code: 'token_revoked' });
  await assert.rejects(identities.identify('ann', claims), { code: 'token_revoked' });
});

test('A3: until the database has told its secret, nobody is let in, and told to try again', async () => {
  const identities = new Identities({ mode: 'required', secrets: [], tokenTtlS: 60 }, {} as QueryPort);
  await assert.rejects(identities.identify('ann', undefined, 'token'), { code: 'unavailable' });
});
