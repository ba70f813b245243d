import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { newUser } from '../support/client.ts';
import { startRedis } from '../support/redis.ts';
import { startNode, temporaryFolder } from '../support/server.ts';

const GATEWAYS = 2;
const ADDRESS = '2001:db8:1:2::';

/** Statuses, and how many answers have each. Requests at once have connections of their own: each gateway gets some. */
async function tally(requests: readonly Promise<{ status: number }>[]): Promise<Record<number, number>> {
  const counts: Record<number, number> = {};
  for (const { status } of await Promise.all(requests)) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

for (const bus of ['embedded', 'Redis'] as const) {
  test(`A6 ${bus}: ${GATEWAYS} gateways count together, guesses from one /64 and registrations`, async (t) => {
    const { url } = await startNode(t, {
      DATABASE_PATH: `${temporaryFolder({ after })}/chat.db`,
      WORKERS: String(GATEWAYS),
      RATE_LIMITS: 'on',
      TRUST_PROXY: 'on',
      ...(bus === 'Redis' && { REDIS_URL: (await startRedis(t)).url }),
    });
    await newUser(url, 'ann');
    const from = (path: string, body: unknown, address: string): Promise<{ status: number }> =>
      fetch(url + path, {
        method: 'POST',
        headers: { 'X-Forwarded-For': address },
        body: JSON.stringify(body),
      });
    const guesses = Array.from({ length: 60 }, (_, i) =>
      from('/login', { user_id: 'ann', password: 'wrong' }, `${ADDRESS}${i.toString(16)}`),
    );
    assert.deepEqual(await tally(guesses), { 401: 10, 429: 50 });
    const right = { user_id: 'ann', password: 'secret' };
    assert.equal((await from('/login', right, '2001:db8:1:3::1')).status, 200);
    // Names that are taken count, and cost no hashing.
    const registrations = Array.from({ length: 120 }, () => from('/register', right, `${ADDRESS}1`));
    assert.deepEqual(await tally(registrations), { 409: 100, 429: 20 });
  });
}
