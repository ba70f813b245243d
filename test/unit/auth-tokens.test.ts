import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { SignJWT } from 'jose';
import { bearerToken, Tokens } from '../../src/auth/tokens.ts';
import { ParleyError } from '../../src/contract/errors.ts';

const SECRET = 'a secret of more than thirty-two characters';
const OTHER = 'another secret of more than thirty-two characters';
const tokens = new Tokens([SECRET], 3600);

const refusal = async (token: string, by = tokens): Promise<string> => {
  try {
    await by.verify(token);
  } catch (error) {
    if (error instanceof ParleyError) return error.code;
    throw error;
  }
  return 'none';
};
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const signed = (claims: Record<string, unknown>, alg = 'HS256', secret = SECRET): Promise<string> =>
  new SignJWT(claims).setProtectedHeader({ alg }).sign(new TextEncoder().encode(secret));
const now = Math.floor(Date.now() / 1000);
const good = { sub: 'ann', jti: 'id', iss: 'parley', iat: now, exp: now + 60, ver: 0 };

test('A1 tokens: what was issued is what is verified', async () => {
  const { token, claims } = await tokens.issue('ann 😀', 3);
  assert.deepEqual(await tokens.verify(token), claims);
  assert.equal(claims.user, 'ann 😀');
  assert.equal(claims.version, 3);
  assert.ok(Math.abs(claims.expiresAt - now - 3600) <= 5);
  assert.notEqual((await tokens.issue('ann', 3)).claims.tokenId, claims.tokenId);
});

test('A3 tokens: an expired one is told apart', async () => {
  assert.equal(await refusal(await signed({ ...good, exp: now - 1 })), 'token_expired');
  mock.timers.enable({ apis: ['Date'], now: Date.now() - 3_600_000 });
  const { token } = await tokens.issue('ann', 0);
  mock.timers.reset();
  assert.equal(await refusal(token), 'token_expired');
});

test('G9, A3 tokens: one that was verified before expires all the same', async (t) => {
  const { token, claims } = await tokens.issue('ann', 0);
  assert.deepEqual(await tokens.verify(token), claims);
  t.mock.timers.enable({ apis: ['Date'], now: claims.expiresAt * 1000 - 1 });
  assert.equal(await refusal(token), 'none');
  t.mock.timers.tick(1);
  assert.equal(await refusal(token), 'token_expired');
});

const forged: readonly (readonly [why: string, token: () => string | Promise<string>])[] = [
  ['nothing', () => ''],
  ['no token', () => 'a.b.c'],
  ['signed by another secret', () => signed(good, 'HS256', OTHER)],
  ['expired, and signed by another secret', () => signed({ ...good, exp: 1 }, 'HS256', OTHER)],
  ['alg none', () => `${part({ alg: 'none' })}.${part(good)}.`],
  [
    'alg none, with a signature',
    async () => `${part({ alg: 'none' })}.${part(good)}.${(await signed(good)).split('.')[2]}`,
  ],
  ['another algorithm with the right secret', () => signed(good, 'HS512')],
  ['of another issuer', () => signed({ ...good, iss: 'someone' })],
  ['without a user', () => signed({ ...good, sub: undefined })],
  ['without an id', () => signed({ ...good, jti: undefined })],
  ['without an end', () => signed({ ...good, exp: undefined })],
  ['without a version', () => signed({ ...good, ver: undefined })],
  ['with a version that is no number', () => signed({ ...good, ver: '0' })],
  [
    'with another user put in',
    async () => {
      const [head, , signature] = (await tokens.issue('ann', 0)).token.split('.');
      return `${head}.${part({ ...good, sub: 'bob' })}.${signature}`;
    },
  ],
  ['cut off', async () => (await tokens.issue('ann', 0)).token.slice(0, -2)],
];
for (const [why, token] of forged) {
  test(`A3 tokens: ${why} → unauthorized`, async () => {
    assert.equal(await refusal(await token()), 'unauthorized');
  });
}

test('G6 tokens: a signature is checked once, as long as it is remembered, which five thousand are', async (t) => {
  const checks = t.mock.method(crypto.subtle, 'verify').mock;
  const fresh = new Tokens([SECRET], 3600);
  const { token } = await fresh.issue('ann', 0);
  const first = await fresh.verify(token);
  assert.deepEqual(await fresh.verify(token), first);
  assert.equal(checks.callCount(), 1);
  for (let i = 0; i < 5_000; i++) await fresh.verify((await fresh.issue('bob', 0)).token);
  checks.resetCalls();
  assert.deepEqual(await fresh.verify(token), first);
  assert.equal(checks.callCount(), 1, 'it was let go of');
});

test('A1 tokens: after a rotation old tokens still count, new ones are signed by the new secret, and a dropped secret counts no more', async () => {
  const old = await tokens.issue('ann', 0);
  const rotated = new Tokens([OTHER, SECRET], 3600);
  assert.equal(await refusal(old.token, rotated), 'none');
  const fresh = await rotated.issue('ann', 0);
  assert.equal(await refusal(fresh.token), 'unauthorized');
  assert.equal(await refusal(old.token, new Tokens([OTHER], 3600)), 'unauthorized');
  assert.equal(await refusal(await signed({ ...good, exp: now - 1 }), rotated), 'token_expired');
});

test('A1 tokens: the header is Bearer and one token', () => {
  assert.equal(bearerToken('Bearer abc.d-e_f'), 'abc.d-e_f');
  assert.equal(bearerToken('bearer   abc'), 'abc');
  for (const header of [
    undefined,
    '',
    'abc',
    'Basic abc',
    'Bearer',
    'Bearer ',
    'Bearer a b',
    `Bearer ${'x'.repeat(4097)}`,
  ])
    assert.equal(bearerToken(header), undefined);
});
