import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type KeyValueStorage, memoryStorage } from '../../src/client/storage.ts';
import { WriteBehind } from '../../src/client/write-behind.ts';
import { settle } from '../support/scripted-bus.ts';

/** A storage whose writes end, well or not, when the test says so. */
function fixture() {
  const writes: string[] = [];
  const under: PromiseWithResolvers<void>[] = [];
  const write = (what: string): Promise<void> => {
    writes.push(what);
    const done = Promise.withResolvers<void>();
    under.push(done);
    return done.promise;
  };
  const storage = {
    getItem: () => null,
    setItem: (key: string, value: string) => write(`${key}=${value}`),
    removeItem: (key: string) => write(`-${key}`),
    keys: () => [],
  } as unknown as KeyValueStorage;
  const failures: unknown[] = [];
  const behind = new WriteBehind(storage, (error) => failures.push(error));
  const end = async (error?: Error): Promise<void> => {
    const done = under.shift();
    if (error) done?.reject(error);
    else done?.resolve();
    await settle();
  };
  return { behind, writes, end, failures };
}

test('one write at a time, in order; of what waits for a key only the newest is written', async () => {
  const { behind, writes, end } = fixture();
  behind.set('a', '1');
  behind.set('a', '2');
  behind.set('b', '1');
  behind.set('a', '3');
  assert.deepEqual(writes, ['a=1']);
  await end();
  assert.deepEqual(writes, ['a=1', 'b=1']);
  await end();
  assert.deepEqual(writes, ['a=1', 'b=1', 'a=3']);
  await end();
  behind.set('a', '4');
  assert.equal(writes.at(-1), 'a=4');
});

test('what is removed before it was written is not written', async () => {
  const { behind, writes, end } = fixture();
  behind.set('a', '1');
  behind.set('b', '1');
  behind.remove('b');
  await end();
  assert.deepEqual(writes, ['a=1']);
});

test('a write that fails is told, and the next one goes on', async () => {
  const { behind, writes, end, failures } = fixture();
  behind.set('a', '1');
  behind.remove('a');
  await end(new Error('full'));
  assert.equal(failures.length, 1);
  assert.deepEqual(writes, ['a=1', '-a']);
});

test('what could not be written is not taken for removed; what could not be removed is', async () => {
  const { behind, end } = fixture();
  behind.set('a', '1');
  await end(new Error('full'));
  assert.equal(behind.removes('a'), false);
  behind.remove('a');
  await end(new Error('closing'));
  assert.equal(behind.removes('a'), true);
});

test('on a synchronous storage too, what was written is not written again with the next: another tab may have removed it', () => {
  const writes: string[] = [];
  const setItem = (key: string): void => void writes.push(key);
  const behind = new WriteBehind({ ...memoryStorage(), setItem }, () => {});
  behind.set('a', '1');
  behind.set('b', '1');
  assert.deepEqual(writes, ['a', 'b']);
});
