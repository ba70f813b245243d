import assert from 'node:assert/strict';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { ConfigError, readConfig } from '../../src/config/config.ts';

const problemsOf = (environment: Record<string, string>): readonly string[] => {
  try {
    readConfig(environment);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
  return [];
};
const SECRET = 'x'.repeat(32);

test('configuration: an empty environment gives the documented defaults', () => {
  const config = readConfig({});
  assert.equal(config.admin.host, '127.0.0.1');
  assert.equal(config.admin.port, 9464);
  assert.deepEqual(
    { ...config, readers: undefined, admin: undefined },
    {
      role: 'all',
      http: { port: 8888, host: '0.0.0.0', localNamesOnly: false, corsOrigins: '*', trustProxy: false },
      admin: undefined,
      database: { path: path.resolve('chat.db') },
      bus: { kind: 'ipc' },
      gateways: Math.max(1, os.availableParallelism() - 1),
      readers: undefined,
      auth: { mode: 'required', secrets: [], tokenTtlS: 604_800 },
      passwordMinLength: 1,
      rateLimits: true,
      logLevel: 'info',
      shutdownTimeoutMs: 10_000,
    },
  );
  assert.ok(config.readers >= 1);
});

test('configuration: a variable set to nothing counts as not set', () => {
  assert.deepEqual(readConfig({ PORT: '', REDIS_URL: ' ', TOKEN_SECRET: '', HOST: '' }), readConfig({}));
});

test('configuration: space around a value is nobody’s will, be it a choice, a switch or a number', () => {
  const spaced = readConfig({
    PORT: ' 80 ',
    AUTH: 'open ',
    RATE_LIMITS: ' off',
    LOG_LEVEL: 'warn\r',
    ROLE: ' all',
  });
  assert.deepEqual(
    spaced,
    readConfig({ PORT: '80', AUTH: 'open', RATE_LIMITS: 'off', LOG_LEVEL: 'warn', ROLE: 'all' }),
  );
});

test('configuration: pages of apps have origins, too', () => {
  const origins = ['https://chat.example.org', 'capacitor://localhost', 'chrome-extension://abcdef'];
  assert.deepEqual(readConfig({ CORS_ORIGINS: origins.join(', ') }).http.corsOrigins, origins);
});

test('configuration: AUTH=open binds to loopback unless HOST says otherwise', () => {
  assert.equal(readConfig({ AUTH: 'open' }).http.host, '127.0.0.1');
  assert.equal(readConfig({ AUTH: 'open', HOST: '0.0.0.0' }).http.host, '0.0.0.0');
  assert.deepEqual(readConfig({ AUTH: 'open' }).auth, { mode: 'open' });
});

test('configuration: what is on loopback by default answers to local names only; whoever names an address decides', () => {
  const names = (environment: Record<string, string>): boolean[] => {
    const { http, admin } = readConfig(environment);
    return [http.localNamesOnly, admin.localNamesOnly];
  };
  assert.deepEqual(names({}), [false, true]);
  assert.deepEqual(names({ AUTH: 'open', HOST: ' ', ADMIN_HOST: '' }), [true, true]);
  const host = '127.0.0.1';
  assert.deepEqual(names({ AUTH: 'open', HOST: host, ADMIN_HOST: host }), [false, false]);
});

test('configuration: a gateway has no readers, a store no gateways', () => {
  const redis = { REDIS_URL: 'redis://localhost' };
  assert.equal(readConfig({ ...redis, ROLE: 'gateway' }).readers, 0);
  assert.equal(readConfig({ ...redis, ROLE: 'store', WORKERS: '3' }).gateways, 0);
});

test('configuration: whoever names a Redis has a node of a cluster', () => {
  const { bus } = readConfig({ REDIS_URL: 'redis://localhost' });
  assert.equal(bus.kind, 'redis');
});

test('configuration: a node has as many gateways as it is told', () => {
  assert.equal(readConfig({ WORKERS: '3' }).gateways, 3);
});

test('configuration: one port for two things is fine where it is any free one, or where there is no gateway', () => {
  assert.deepEqual(problemsOf({ PORT: '0', ADMIN_PORT: '0' }), []);
  assert.deepEqual(problemsOf({ ROLE: 'store', REDIS_URL: 'redis://localhost', PORT: '9464' }), []);
});

test('configuration: the admin address was chosen where its port or its host is set, to the default too', () => {
  const chosen = [{}, { ADMIN_PORT: '9464' }, { ADMIN_HOST: '127.0.0.1' }].map(
    (it) => readConfig(it).admin.chosen,
  );
  assert.deepEqual(chosen, [false, true, true]);
});

test('configuration: a number may be as low or as high as its refusal says', () => {
  const [low, high] = [
    { TOKEN_TTL: '1', WORKERS: '1', PASSWORD_MIN_LENGTH: '1', SHUTDOWN_TIMEOUT_MS: '0' },
    { TOKEN_TTL: '315360000', WORKERS: '256', PASSWORD_MIN_LENGTH: '256', SHUTDOWN_TIMEOUT_MS: '3600000' },
  ].map((environment) => readConfig({ ...environment, PORT: environment.WORKERS }));
  assert.deepEqual(
    [low, high].map((it) => it?.auth.mode === 'required' && it.auth.tokenTtlS),
    [1, 315_360_000],
  );
  assert.match(problemsOf({ TOKEN_TTL: '315360001' })[0] ?? '', /must be at most 315360000 \(it is/);
});

test('configuration: secrets may be several, for rotation', () => {
  const { auth } = readConfig({ TOKEN_SECRET: `${SECRET}1, ${SECRET}2` });
  assert.deepEqual(auth.mode === 'required' && auth.secrets, [`${SECRET}1`, `${SECRET}2`]);
});

const bad: readonly (readonly [name: string, environment: Record<string, string>])[] = [
  ['PORT', { PORT: 'http' }],
  ['PORT', { PORT: '65536' }],
  ['PORT', { PORT: '-1' }],
  ['PORT', { PORT: '80.5' }],
  ['ADMIN_PORT', { ADMIN_PORT: 'x' }],
  ['PORT and ADMIN_PORT', { PORT: '9464' }],
  ['WORKERS', { WORKERS: '0' }],
  ['DATABASE_PATH', { DATABASE_PATH: ':memory:' }],
  ['DATABASE_PATH', { DATABASE_PATH: 'file:///var/lib/chat.db' }],
  ['ROLE', { ROLE: 'writer' }],
  ['ROLE', { ROLE: 'gateway' }],
  ['ROLE', { ROLE: 'store' }],
  ['AUTH', { AUTH: 'none' }],
  ['TOKEN_SECRET', { TOKEN_SECRET: 'short' }],
  ['TOKEN_SECRET', { TOKEN_SECRET: `${SECRET},short` }],
  ['TOKEN_TTL', { TOKEN_TTL: '0' }],
  ['TOKEN_TTL', { TOKEN_TTL: 'a week' }],
  ['REDIS_URL', { REDIS_URL: 'http://localhost' }],
  ['REDIS_URL', { REDIS_URL: 'redis://:pa55@host:99999' }],
  ['REDIS_URL', { REDIS_URL: 'redis://[x' }],
  ['CORS_ORIGINS', { CORS_ORIGINS: 'chat.example.org' }],
  ['CORS_ORIGINS', { CORS_ORIGINS: 'https://a.example.org,https://b.example.org/path' }],
  ['CORS_ORIGINS', { CORS_ORIGINS: 'https://*.example.org' }],
  ['CORS_ORIGINS', { CORS_ORIGINS: '*,https://a.example.org' }],
  ['CORS_ORIGINS', { CORS_ORIGINS: 'capacitor://localhost/' }],
  ['CORS_ORIGINS', { CORS_ORIGINS: 'capacitor://user@localhost' }],
  ['CORS_ORIGINS', { CORS_ORIGINS: 'file:///index.html' }],
  ['CORS_ORIGINS', { CORS_ORIGINS: 'null' }],
  ['CORS_ORIGINS', { CORS_ORIGINS: 'about://' }],
  ['TRUST_PROXY', { TRUST_PROXY: 'maybe' }],
  ['RATE_LIMITS', { RATE_LIMITS: 'some' }],
  ['PASSWORD_MIN_LENGTH', { PASSWORD_MIN_LENGTH: '0' }],
  ['PASSWORD_MIN_LENGTH', { PASSWORD_MIN_LENGTH: '257' }],
  ['LOG_LEVEL', { LOG_LEVEL: 'loud' }],
  ['SHUTDOWN_TIMEOUT_MS', { SHUTDOWN_TIMEOUT_MS: '-1' }],
];
for (const [name, environment] of bad) {
  test(`configuration: ${JSON.stringify(environment)} is one problem, named`, () => {
    const problems = problemsOf(environment);
    assert.equal(problems.length, 1, problems.join('\n'));
    assert.match(problems[0] ?? '', new RegExp(`^${name}\\b`));
  });
}

test('configuration: all problems are reported at once, those of several variables too', () => {
  const problems = problemsOf({
    PORT: 'x',
    WORKERS: '0',
    AUTH: 'none',
    TOKEN_SECRET: 'short',
    ROLE: 'gateway',
    CORS_ORIGINS: 'nowhere',
  });
  assert.deepEqual(problems.map((problem) => problem.split(/\W/, 1)[0]).sort(), [
    'AUTH',
    'CORS_ORIGINS',
    'PORT',
    'ROLE',
    'TOKEN_SECRET',
    'WORKERS',
  ]);
});

test('configuration: one port for two things is told beside what is wrong with the rest', () => {
  const problems = problemsOf({ PORT: '9464', AUTH: 'none' });
  assert.deepEqual(problems.map((problem) => problem.split(':', 1)[0]).sort(), [
    'AUTH',
    'PORT and ADMIN_PORT are both 9464',
  ]);
});

test('configuration: no secret, and no URL that may hold a password, is echoed', () => {
  const problems = problemsOf({
    PORT: 'x',
    TOKEN_SECRET: 'hunter2,hunter2',
    REDIS_URL: 'rediz://:hunter2@localhost',
  });
  assert.ok(problems.length >= 2);
  assert.ok(!problems.join('\n').includes('hunter2'), problems.join('\n'));
  assert.ok(!problemsOf({ REDIS_URL: 'redis://:hunter2@host:99999' }).join('').includes('hunter2'));
  assert.ok(!problemsOf({ TOKEN_SECRET: 'hunter2' }).join('').includes('hunter2'));
});

test('configuration: a problem is told in words, with the value', () => {
  assert.deepEqual(problemsOf({ PORT: 'abc', WORKERS: '0', PASSWORD_MIN_LENGTH: '1.5' }), [
    "PORT: must be a whole number (it is 'abc')",
    "WORKERS: must be at least 1 (it is '0')",
    "PASSWORD_MIN_LENGTH: must be a whole number (it is '1.5')",
  ]);
});
