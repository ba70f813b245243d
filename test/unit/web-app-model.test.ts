import '../support/page-address.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetch, request } from '../support/unanswered.ts';

class FakeWebSocket {
  send(): void {}
  close(): void {}
}

/** Who is told of what other tabs do with the shared storage. */
const followers: ((event: { key: null }) => void)[] = [];

Object.assign(globalThis, {
  window: globalThis,
  addEventListener: (type: string, listener: (typeof followers)[number]) => {
    if (type === 'storage') followers.push(listener);
  },
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

test('web, A5: a new password that is granted after a logout in another tab leaves no session at the server', async () => {
  const model = new AppModel();
  await logIn(model, 'alice');
  const { value } = model.view;
  assert.ok(value.name === 'chat');
  const changed = value.store.changePassword('pw', 'better');
  const change = await request('change-password');
  followers.at(-1)?.({ key: null });
  assert.equal(model.view.value.name, 'welcome');
  await change.answer({ message: 'Password changed.', token: 'granted late' });
  const ended = await request('logout');
  assert.equal(ended.authorization, 'Bearer granted late');
  await ended.answer({ message: 'Logged out.' });
  await changed;
});

test('web: a registration whose answer was lost is taken up by the next try, and a name that is somebody else’s stays taken', async () => {
  const model = new AppModel();
  const register = { register: true };
  const lost = { error: 'No answer came in time.' };
  const taken = { error: 'User ID already exists.', code: 'user_exists' };
  const wrong = { error: 'Invalid credentials.', code: 'invalid_credentials' };
  const unheard = async (user: string) => {
    const first = assert.rejects(model.logIn(user, 'pw', register), { code: 'unavailable' });
    await (await request('register')).answer(lost, 504);
    await first;
  };

  await unheard('eve');
  const other = assert.rejects(model.logIn('bob', 'pw', register), { code: 'user_exists' });
  await (await request('register')).answer(taken, 409);
  await other;
  const foreign = assert.rejects(model.logIn('eve', 'pw', register), { code: 'user_exists' });
  await (await request('register')).answer(taken, 409);
  await (await request('login')).answer(wrong, 401);
  await foreign;

  await unheard('alice');
  const second = model.logIn('alice', 'pw', register);
  await (await request('register')).answer(taken, 409);
  await (await request('login')).answer({ message: 'Login successful.', token: 'token of alice' });
  await second;
  const view = model.view.value;
  assert.equal(view.name === 'chat' && view.store.client.session?.user_id, 'alice');
  const last = model.logOut({ everywhere: false });
  await (await request('logout')).answer({ message: 'Logged out.' });
  await last;
});

test('web: where the answer to a new password is lost and the session ends, it is said that the new one may count', async () => {
  const model = new AppModel();
  const notice = () => (model.view.value.name === 'welcome' ? (model.view.value.notice ?? '') : 'still here');
  for (const [status, code, perhaps] of [
    [504, 'unavailable', true],
    [401, 'invalid_credentials', false],
  ] as const) {
    await logIn(model, 'alice');
    const { value } = model.view;
    assert.ok(value.name === 'chat');
    const changed = model.changePassword(value.store, 'old', 'new');
    await (await request('change-password')).answer({ error: 'No.', code }, status);
    assert.equal((await changed)?.includes('may already'), perhaps);
    const history = value.store.client.history('bob').catch(() => {});
    await (await request('history')).answer({ error: 'Over.', code: 'token_revoked' }, 401);
    await history;
    assert.match(notice(), /^Your session has been ended/);
    assert.equal(notice().includes('may already'), perhaps);
  }
});
