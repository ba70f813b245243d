import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRedisUrl, type RedisTarget, redactedUrl } from '../../src/config/redis-url.ts';

const plain = { tls: false, credentials: {} };
const local = { host: 'localhost', port: 6379 };

const READ: readonly [url: string, target: RedisTarget, redacted: string][] = [
  ['redis://localhost', { kind: 'single', ...plain, address: local, database: 0 }, 'redis://localhost:6379'],
  [
    'rediss://user:pa%40s%2Fs@redis.example.org:6380/3',
    {
      kind: 'single',
      tls: true,
      credentials: { username: 'user', password: 'pa@s/s' },
      address: { host: 'redis.example.org', port: 6380 },
      database: 3,
    },
    'rediss://user:***@redis.example.org:6380/3',
  ],
  [
    'redis://:secret@[::1]:7000/',
    {
      kind: 'single',
      tls: false,
      credentials: { password: 'secret' },
      address: { host: '::1', port: 7000 },
      database: 0,
    },
    'redis://:***@[::1]:7000',
  ],
  [
    'REDIS://user@localhost',
    { kind: 'single', tls: false, credentials: { username: 'user' }, address: local, database: 0 },
    'redis://user@localhost:6379',
  ],
  [
    'redis+sentinel://one,two:26380,[fe80::1]:5/the%20master',
    {
      kind: 'sentinel',
      ...plain,
      sentinels: [
        { host: 'one', port: 26379 },
        { host: 'two', port: 26380 },
        { host: 'fe80::1', port: 5 },
      ],
      sentinelCredentials: {},
      master: 'the master',
      database: 0,
    },
    'redis+sentinel://one:26379,two:26380,[fe80::1]:5/the%20master',
  ],
  [
    'rediss+sentinel://:secret@one/chat/2?sentinel_username=u&sentinel_password=o%26ther',
    {
      kind: 'sentinel',
      tls: true,
      credentials: { password: 'secret' },
      sentinels: [{ host: 'one', port: 26379 }],
      sentinelCredentials: { username: 'u', password: 'o&ther' },
      master: 'chat',
      database: 2,
    },
    'rediss+sentinel://:***@one:26379/chat/2',
  ],
  [
    'redis+cluster://10.0.0.1, 10.0.0.2:7001',
    {
      kind: 'cluster',
      ...plain,
      nodes: [
        { host: '10.0.0.1', port: 6379 },
        { host: '10.0.0.2', port: 7001 },
      ],
    },
    'redis+cluster://10.0.0.1:6379,10.0.0.2:7001',
  ],
  [
    'rediss+cluster://user:secret@node/',
    {
      kind: 'cluster',
      tls: true,
      credentials: { username: 'user', password: 'secret' },
      nodes: [{ host: 'node', port: 6379 }],
    },
    'rediss+cluster://user:***@node:6379',
  ],
];
for (const [url, target, redacted] of READ) {
  test(`REDIS_URL: ${url} is read`, () => {
    assert.deepEqual(parseRedisUrl(url), target);
    assert.equal(redactedUrl(target), redacted);
  });
}

const REFUSED: readonly [url: string, why: RegExp][] = [
  [
    'localhost:6379',
    /must begin with redis:\/\/, rediss:\/\/, redis\+sentinel:\/\/.* or rediss\+cluster:\/\//,
  ],
  ['http://hunter2', /must begin with/],
  ['redis:///1', /the address is not a host/],
  ['redis://:hunter2@', /the address is not a host/],
  ['redis://:hunter2@host:99999', /the address has a port that is not from 1 to 65535/],
  ['redis://:hunter2@host:0', /port/],
  ['redis://:hunter2@host:port', /the address is not a host/],
  ['redis://[x', /the address is not a host/],
  ['redis://:hun/ter2@host', /percent-encoded/],
  ['redis://:hun?ter2@host', /percent-encoded/],
  ['redis://:hunter2%@host', /'%' itself is written %25/],
  ['redis://one,two', /several addresses, as only redis\+sentinel:\/\/ and redis\+cluster:\/\/ can/],
  ['redis://host/hunter2', /a database that is not a number/],
  ['redis://host/1/hunter2', /more than a database number/],
  ['redis://host?hunter2=1', /has a '\?'/],
  ['redis+sentinel://one,two', /must name the master/],
  ['redis+sentinel://one,/name', /address 2 is not a host/],
  ['redis+sentinel://one/name/hunter2', /a database that is not a number/],
  ['redis+sentinel://one/name/1/hunter2', /more than the master's name and a database number/],
  ['redis+sentinel://one/name?hunter2=1', /not one of sentinel_username or sentinel_password/],
  ['redis+cluster://one/1', /Redis Cluster has no database numbers/],
  ['redis+cluster://one?hunter2', /has a '\?'/],
];
for (const [url, why] of REFUSED) {
  test(`REDIS_URL: ${url} is refused, and no part of it is told`, () => {
    assert.throws(
      () => parseRedisUrl(url),
      (error: Error) => why.test(error.message) && !/hunter|ter2/.test(error.message),
    );
  });
}
