import type { Message } from '../../client/index.ts';
import { announcePresence, presentInAnyTab } from './attention.ts';
import { totalUnread } from './chat-state.ts';
import type { ChatStore } from './chat-store.ts';
import { beginningOf } from './format.ts';
import { preferences } from './preferences.ts';
import { nameHere } from './site.ts';

/** Time for another tab to report that the message was read there, in milliseconds. */
const WAIT_MS = 400;
const BODY_UNITS = 140;

/** Announces new messages outside the page: in the title, in the icon, and on the desktop. */
export function startNotifier(store: ChatStore, openConversation: (peer: string) => void): () => void {
  let shown = 0;
  let stopped = false;
  const updateTitle = () => {
    const unread = totalUnread(store.state.value);
    if (unread === shown) return;
    shown = unread;
    document.title = unread === 0 ? 'Parley' : `(${unread > 999 ? '999+' : unread}) Parley`;
    document.querySelector('#icon')?.setAttribute('href', unread === 0 ? './icon.svg' : './icon-unread.svg');
  };
  // A message that arrives in view is read within a frame or two. The delay avoids a flicker.
  let timer: ReturnType<typeof setTimeout> | undefined;
  const later = () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      updateTitle();
    }, 60);
  };

  /** The message to announce next, by sender. Messages that arrive together, as after a night, are announced once. */
  const newest = new Map<string, Message>();
  const stops = [
    announcePresence(store.attention),
    store.state.subscribe(later),
    store.onArrival((message, peer) => {
      if (store.attention.present || !canNotify()) return;
      const first = !newest.has(peer);
      newest.set(peer, message);
      if (!first) return;
      setTimeout(async () => {
        const { id, message: text } = newest.get(peer)!;
        newest.delete(peer);
        const conversation = store.state.value.conversations.get(peer);
        const read = conversation === undefined || conversation.read >= id;
        if (read || (await presentInAnyTab()) || stopped) return;
        notify(peer, text, () => openConversation(peer));
      }, WAIT_MS);
    }),
  ];
  return () => {
    stopped = true;
    clearTimeout(timer);
    for (const stop of stops) stop();
    document.title = 'Parley';
    document.querySelector('#icon')?.setAttribute('href', './icon.svg');
  };
}

const canNotify = (): boolean =>
  'Notification' in window && Notification.permission === 'granted' && preferences.value.notifications;

function notify(peer: string, text: string, clicked: () => void): void {
  const body = beginningOf(text, BODY_UNITS);
  try {
    // The tag merges the notifications of several tabs, and of several messages of one person.
    const notification = new Notification(peer, { body, tag: nameHere(peer), icon: './icon.svg' });
    notification.onclick = () => {
      window.focus();
      clicked();
      notification.close();
    };
  } catch {
    // Some phones require a service worker for it. There, the count in the title has to do.
  }
}
