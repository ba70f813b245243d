import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { http } from '../../src/base/node-http.ts';
import { createHttpApp } from '../../src/gateway/http/app.ts';
import type { RouteContext } from '../../src/gateway/http/route-context.ts';
import { createLogger } from '../../src/ops/logger.ts';
import { rawRequest } from '../support/raw.ts';

test("no process of a node loads the client behind fetch, which an import of Node's http brings: it costs each 3 MB and 80 ms", async () => {
  for (const entry of [
    'app/node',
    'app/workers/gateway',
    'app/workers/reader',
    'app/workers/writer',
    'app/workers/store-writer',
    'bus/redis/redis-bus',
  ])
    await import(`../../src/${entry}.ts`);
  assertNoFetch();
});

test('nor do answers bring it, of which Koa would ask whether they are of that client', async () => {
  const routes = {
    readiness: { answer: () => ({ ready: false }) },
    identities: { open: false },
    refused: () => {},
  } as unknown as RouteContext;
  const app = createHttpApp({
    routes,
    origins: '*',
    trustProxy: false,
    localNamesOnly: false,
    headers: {},
    log: createLogger('silent', {}),
  });
  const server = http.createServer(app.callback()).listen(0, '127.0.0.1');
  after(() => server.close());
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (const [where, status] of [
    ['/livez', 200],
    ['/readyz', 503],
    ['/openapi.json', 200],
    ['/docs', 200],
    ['/nowhere', 404],
  ] as const) {
    const answer = await rawRequest(url, [`GET ${where} HTTP/1.1`, 'Host: x', 'Connection: close', '', '']);
    assert.equal(answer.status, status, where);
  }
  assertNoFetch();
});

function assertNoFetch(): void {
  const loaded = (process as NodeJS.Process & { moduleLoadList: readonly string[] }).moduleLoadList;
  assert.ok(loaded.includes('NativeModule http'), 'the list of loaded modules is not what it was');
  assert.deepEqual(
    loaded.filter((name) => name.includes('undici')),
    [],
  );
}
