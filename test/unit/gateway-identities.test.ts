import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QueryClient } from '../../src/bus/query-client.ts';
import type { Bus } from '../../src/core/bus.ts';
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
