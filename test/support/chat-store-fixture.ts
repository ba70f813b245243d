import './page-address.ts';
import type { TestContext } from 'node:test';
import type { ClientFrame, ServerFrame } from '../../src/client/wire.ts';
import { ChatStore } from '../../src/web/model/chat-store.ts';
import { connected, stored } from './server-frames.ts';
import { asked, fetch, request } from './unanswered.ts';

/*
 * The web app's store for alice, with both ends of its socket and of its requests in the hands of the test.
 */

/** The server's end of the newest socket. */
export let socket: FakeWebSocket;

class FakeWebSocket {
  readonly sent: ClientFrame[] = [];
  onopen: () => void = () => {};
  onmessage: (event: { data: string }) => void = () => {};
  onclose: (event: { code: number; reason: string }) => void = () => {};

  constructor() {
    socket = this;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {}

  says(...frames: ServerFrame[]): void {
    for (const frame of frames) this.onmessage({ data: JSON.stringify(frame) });
  }

  frames<T extends ClientFrame['type']>(type: T): Extract<ClientFrame, { type: T }>[] {
    return this.sent.filter((frame): frame is Extract<ClientFrame, { type: T }> => frame.type === type);
  }
}

let looking = true;

/** Whether alice looks at her screen. */
export function look(is: boolean): void {
  looking = is;
}

/** Time in which a burst of messages is taken in. */
export const BURST_MS = 100;

Object.assign(globalThis, {
  WebSocket: FakeWebSocket,
  addEventListener: () => {},
  removeEventListener: () => {},
  fetch,
});

export const said = (from: number, upto: number) =>
  Array.from({ length: upto - from + 1 }, (_, i) => stored(from + i));
export const summary = (last: number, read = last, user = 'bob') => ({
  user,
  last_message: stored(last, { from: user }),
  unread: last - read,
  read,
  peer_read: 0,
});
export const list = (...conversations: ReturnType<typeof summary>[]) => ({
  conversations,
  next_before: null,
});

export function welcome(frame: Parameters<typeof connected>[0] = {}): void {
  socket.onopen();
  socket.says(connected(frame));
}

/** The connection breaks, and there is a new one. */
export function reconnect(store: ChatStore, frame?: Parameters<typeof connected>[0]): void {
  socket.onclose({ code: 1006, reason: '' });
  store.client.connect();
  welcome(frame);
}

/** Alice's, who looks at her screen; timers run when the test says so. */
export function start(t: TestContext): ChatStore {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  asked.splice(0);
  looking = true;
  const store = new ChatStore({
    session: { user_id: 'alice', token: 't1' },
    sessionChanged: () => {},
    attention: {
      get present() {
        return looking;
      },
      subscribe: () => () => {},
    },
  });
  t.after(() => store.close());
  return store;
}

export const bob = (store: ChatStore) => store.state.value.conversations.get('bob')!;
export const ids = (store: ChatStore) => bob(store).messages.map(({ id }) => id);
export const span = (store: ChatStore) => [ids(store)[0], ids(store).at(-1), ids(store).length];

/** Opens bob's conversation on the first connection, with what the list and its history answer. */
export async function openBob(
  store: ChatStore,
  listed: unknown,
  history: unknown,
  frame?: Parameters<typeof connected>[0],
): Promise<void> {
  store.open('bob');
  welcome(frame);
  await (await request('conversations')).answer(listed);
  await (await request('history')).answer(history);
}

/** Opens carol's conversation, which stands on the second page of the list; bob's is the first page. */
export async function openBeyond(store: ChatStore): Promise<void> {
  welcome({ head: 9 });
  await (await request('conversations')).answer({ ...list(summary(9)), next_before: 9 });
  void store.loadMoreConversations();
  await (await request('conversations')).answer({ ...list(summary(5, 5, 'carol')), next_before: 5 });
  store.open('carol');
  await (await request('history')).answer({ messages: [stored(5, { from: 'carol' })], next_before: null });
}
