import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agreedSettings, disagreements } from '../../src/app/agreed-settings.ts';
import { readConfig } from '../../src/config/config.ts';

const [OLD, NEW] = ['o'.repeat(32), 'n'.repeat(32)];

/** What is wrong with gateways of these settings, `a`, `b` and so on. */
function wrong(...environments: NodeJS.ProcessEnv[]): string[] {
  return disagreements(
    environments.flatMap((environment, i) => {
      const settings = agreedSettings(readConfig({ REDIS_URL: 'redis://localhost', ...environment }));
      return settings ? [{ ...settings, node: 'abc'.charAt(i) }] : [];
    }),
  );
}

test('gateways that take no tokens of each other’s are told of; those between two steps of a new secret are not', () => {
  assert.deepEqual(wrong({}, {}), []);
  assert.deepEqual(wrong({ TOKEN_SECRET: OLD }, { TOKEN_SECRET: `${OLD},${NEW}` }), []);
  assert.deepEqual(wrong({ TOKEN_SECRET: `${OLD},${NEW}` }, { TOKEN_SECRET: `${NEW},${OLD}` }), []);
  assert.deepEqual(wrong({ TOKEN_SECRET: `${NEW},${OLD}` }, { TOKEN_SECRET: NEW }), []);
  assert.deepEqual(wrong({ TOKEN_SECRET: OLD }, { TOKEN_SECRET: OLD }, { TOKEN_SECRET: NEW }), [
    "TOKEN_SECRET differs: c takes no tokens of a's",
  ]);
  assert.deepEqual(wrong({ TOKEN_SECRET: OLD }, {}), [
    "TOKEN_SECRET is set at a, and not at b: unless it is the database's, they take no tokens of each other's",
  ]);
  // A store has no use for it.
  assert.deepEqual(wrong({ TOKEN_SECRET: OLD }, { TOKEN_SECRET: NEW, ROLE: 'store' }), []);
});

test('G9: a gateway with AUTH=open among others is told of', () => {
  assert.deepEqual(wrong({ AUTH: 'open' }, { AUTH: 'open', TOKEN_SECRET: OLD }), []);
  assert.deepEqual(wrong({ TOKEN_SECRET: OLD }, { AUTH: 'open' }), [
    'AUTH differs: b lets everybody be anybody (open), a wants tokens (required)',
  ]);
});

test('what tells secrets apart does not tell the secrets', () => {
  const settings = agreedSettings(readConfig({ TOKEN_SECRET: `${OLD},${NEW}` }));
  assert.deepEqual(
    settings?.secrets.map((text) => text.length),
    [5, 5],
  );
  assert.notEqual(settings?.secrets[0], settings?.secrets[1]);
});
