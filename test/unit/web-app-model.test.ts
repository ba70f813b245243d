import '../support/page-address.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetch, request } from '../support/unanswered.ts';

class FakeWebSocket {
  send(): void {}
  close(): void {}
}

Object.assign(globalThis, {
  window: globalThis,
  addEventListener: () => {},
  removeEventListener: () => {},
  history: { pushState: () => {} },
  WebSocket: FakeWebSocket,
  fetch,
});
const { AppModel } = await import('../../src/web/model/app-model.ts');

async function logIn(model: InstanceType<typeof AppModel>, user: string): Promise<void> {
  const done = model.logIn(user, 'pw', { register: false });
  await (await request('login')).answer({ message: 'Login successful.', token: `token of ${user}` });
  await done;
}

test('web: a logout everywhere that fails is told on the welcome screen, but ends nobody who has logged in meanwhile', async (t) => {
  const model = new AppModel();
  t.after(async () => {
    const last = model.logOut({ everywhere: false });
    await (await request('logout')).answer({ message: 'Logged out.' });
    await last;
  });
  const failed = { error: 'Not now.', code: 'unavailable' };
  await logIn(model, 'alice');
  const first = model.logOut({ everywhere: true });
  assert.deepEqual(model.view.value, { name: 'welcome', notice: null });
  await (await request('logout')).answer(failed, 503);
  await first;
  const { value } = model.view;
  assert.match(
    value.name === 'welcome' ? (value.notice ?? '') : '',
    /^Logged out here, but perhaps not elsewhere/,
  );

  await logIn(model, 'alice');
  const second = model.logOut({ everywhere: true });
  await logIn(model, 'bob');
  await (await request('logout')).answer(failed, 503);
  await second;
  const view = model.view.value;
  assert.equal(view.name === 'chat' && view.store.client.session?.user_id, 'bob');
});
