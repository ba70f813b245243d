import assert from 'node:assert/strict';
import { test } from 'node:test';

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
  const loaded = (process as NodeJS.Process & { moduleLoadList: readonly string[] }).moduleLoadList;
  assert.ok(loaded.includes('NativeModule http'), 'the list of loaded modules is not what it was');
  assert.deepEqual(
    loaded.filter((name) => name.includes('undici')),
    [],
  );
});
