import '../support/page-address.ts';
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { initialState, withMessages } from '../../src/web/model/chat-state.ts';
import type { ChatStore } from '../../src/web/model/chat-store.ts';
import { Listenable } from '../../src/web/model/listenable.ts';
import { startNotifier } from '../../src/web/model/notifier.ts';
import { stored } from '../support/server-frames.ts';

const told: string[] = [];

class FakeNotification {
  static readonly permission = 'granted';
  constructor(title: string, { body }: { readonly body: string }) {
    told.push(`${title}: ${body}`);
  }
}

Object.assign(globalThis, {
  window: globalThis,
  document: { title: '', querySelector: () => null },
  Notification: FakeNotification,
});

/** Alice's, who is not looking. */
function start(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const state = new Listenable(initialState('alice', { name: 'online' }));
  const listeners = new Set<Parameters<ChatStore['onArrival']>[0]>();
  const store = {
    state,
    attention: { present: false, subscribe: () => () => {} },
    onArrival(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  } satisfies Pick<ChatStore, 'state' | 'attention' | 'onArrival'> as unknown as ChatStore;
  const stop = startNotifier(store, () => {});
  t.after(stop);
  const arrive = (id: number, from: string) => {
    const message = stored(id, { from });
    state.set(withMessages(state.value, from, [message], false));
    for (const listener of listeners) listener(message, from);
  };
  const wait = async () => {
    t.mock.timers.tick(400);
    for (let i = 0; i < 5; i++) await turn();
  };
  return { arrive, wait, stop };
}

describe('what is told outside the page', () => {
  test('what comes in one go, as after a night, is told once of each person, by the newest of it', async (t) => {
    const { arrive, wait } = start(t);
    for (let id = 1; id <= 1_000; id++) arrive(id, id % 4 === 0 ? 'carol' : 'bob');
    await wait();
    assert.deepEqual(told, ['bob: message 999', 'carol: message 1000']);
    arrive(1_001, 'bob');
    await wait();
    assert.equal(told.at(-1), 'bob: message 1001');
  });

  test('what came just before a logout is not told after it, to whoever is there then', async (t) => {
    const { arrive, wait, stop } = start(t);
    const before = told.length;
    arrive(1_501, 'bob');
    stop();
    await wait();
    assert.equal(told.length, before);
  });

  test('a browser that has locks and gives the page none notifies all the same', async (t) => {
    const locks = { query: () => Promise.reject(new DOMException('Access is denied.', 'SecurityError')) };
    const navigator = Object.getOwnPropertyDescriptor(globalThis, 'navigator')!;
    Object.defineProperty(globalThis, 'navigator', { ...navigator, get: () => ({ locks }) });
    t.after(() => Object.defineProperty(globalThis, 'navigator', navigator));
    const { arrive, wait } = start(t);
    arrive(2_001, 'dave');
    await wait();
    assert.equal(told.at(-1), 'dave: message 2001');
  });
});
