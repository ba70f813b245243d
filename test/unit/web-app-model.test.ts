import '../support/page-address.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

class FakeWebSocket {
  send(): void {}
  close(): void {}
}

type Asked = { readonly path: string; answer(body: unknown, status?: number): Promise<void> };

/** Requests that nobody has answered yet. */
const asked: Asked[] = [];

const settled = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await turn();
};

Object.assign(globalThis, {
  window: globalThis,
  addEventListener: () => {},
  removeEventListener: () => {},
  history: { pushState: () => {} },
  WebSocket: FakeWebSocket,
  fetch: (url: string) =>
    new Promise<Response>((resolve) => {
      asked.push({
        path: new URL(url).pathname,
        answer(body, status = 200) {
          resolve(Response.json(body, { status }));
          return settled();
        },
      });
    }),
});
const { AppModel } = await import('../../src/web/model/app-model.ts');

/** The oldest request of this kind that waits for an answer. */
function request(path: string): Asked {
  const index = asked.findIndex((one) => one.path === path);
  assert.ok(index >= 0, `nobody asked for ${path}; for ${asked.map((one) => one.path)}`);
  return asked.splice(index, 1)[0]!;
}

async function logIn(model: InstanceType<typeof AppModel>, user: string): Promise<void> {
  const done = model.logIn(user, 'pw', { register: false });
  await request('/login').answer({ message: 'Login successful.', token: `token of ${user}` });
  await done;
}

test('web: a logout everywhere that fails is told on the welcome screen, but ends nobody who has logged in meanwhile', async (t) => {
  const model = new AppModel();
  t.after(async () => {
    const last = model.logOut({ everywhere: false });
    await request('/logout').answer({ message: 'Logged out.' });
    await last;
  });
  const failed = { error: 'Not now.', code: 'unavailable' };
  await logIn(model, 'alice');
  const first = model.logOut({ everywhere: true });
  assert.deepEqual(model.view.value, { name: 'welcome', notice: null });
  await request('/logout').answer(failed, 503);
  await first;
  const { value } = model.view;
  assert.match(
    value.name === 'welcome' ? (value.notice ?? '') : '',
    /^Logged out here, but perhaps not elsewhere/,
  );

  await logIn(model, 'alice');
  const second = model.logOut({ everywhere: true });
  await logIn(model, 'bob');
  await request('/logout').answer(failed, 503);
  await second;
  const view = model.view.value;
  assert.equal(view.name === 'chat' && view.store.client.session?.user_id, 'bob');
});
