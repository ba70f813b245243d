import { useEffect, useRef, useState } from 'react';
import { LIMITS } from '../../contract/limits.ts';
import type { AppModel } from '../model/app-model.ts';
import { inOrder } from '../model/chat-state.ts';
import type { ChatStore } from '../model/chat-store.ts';
import { nameOf } from '../model/format.ts';
import { startNotifier } from '../model/notifier.ts';
import { go, hrefOf, route } from '../model/route.ts';
import { Conversation } from './conversation.tsx';
import { isTouch, useKeyDown, useListenable, usePart } from './hooks.ts';
import { EmptyPicture } from './icons.tsx';
import { LiveRegion } from './live-region.tsx';
import { Settings } from './settings.tsx';
import { Sidebar } from './sidebar.tsx';

type ChatScreenProps = { readonly model: AppModel; readonly store: ChatStore };

/** Two columns. On a phone, the one that the address selects. */
export function ChatScreen({ model, store }: ChatScreenProps) {
  const named = useListenable(route);
  // If one of the watched users had such a name, the server would refuse the whole set.
  const peer = named !== null && named.length > LIMITS.userIdLookupUnits ? null : named;
  const beginner = usePart(
    store.state,
    ({ list, conversations }) => list === 'ready' && conversations.size === 0,
  );
  const [settings, setSettings] = useState(false);
  const search = useRef<HTMLInputElement>(null);

  useEffect(() => {
    store.open(peer);
  }, [store, peer]);
  useEffect(() => startNotifier(store, go), [store]);

  const peerBefore = useRef(peer);
  useEffect(() => {
    const left = peerBefore.current;
    peerBefore.current = peer;
    // The focused element is gone with the conversation. Keyboard users would have to begin again at the top of the page.
    if (left === null || peer !== null || document.activeElement !== document.body) return;
    const entry = document.querySelector<HTMLElement>(`.item[href="${hrefOf(left)}"]`);
    if (entry !== null || !isTouch()) (entry ?? search.current)?.focus();
  }, [peer]);

  useKeyDown((event) => {
    if (settings) return;
    // With Caps Lock on, the key is a capital without Shift.
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      const hidden = peer !== null && search.current?.offsetParent === null;
      if (hidden) go(null);
      // At once if possible: the next key may come before the next frame.
      if (hidden) requestAnimationFrame(() => search.current?.focus());
      else search.current?.focus();
    } else if (event.altKey && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) {
      event.preventDefault();
      const next = neighbour(store, peer, event.key === 'ArrowDown' ? 1 : -1);
      if (next !== null) go(next);
    }
  });

  return (
    <main className="chat" data-pane={peer === null ? 'list' : 'conversation'}>
      <h1 className="unseen">Parley</h1>
      <Sidebar store={store} open={peer} search={search} onSettings={() => setSettings(true)} />
      <section
        className="pane"
        aria-label={peer === null ? 'Conversation' : `Conversation with ${nameOf(peer)}`}
      >
        {peer === null ? (
          <div className="empty-pane">
            <EmptyPicture />
            <h2>{beginner ? 'Welcome to Parley' : 'No conversation open'}</h2>
            <p>
              {beginner ? 'Choose someone to talk to, or ' : 'Choose one from the list, or '}
              <button type="button" className="link-button" onClick={() => search.current?.focus()}>
                find someone
              </button>{' '}
              by name.
            </p>
          </div>
        ) : (
          <Conversation key={peer} store={store} peer={peer} />
        )}
      </section>
      <LiveRegion store={store} open={peer} />
      {settings && <Settings model={model} store={store} onClose={() => setSettings(false)} />}
    </main>
  );
}

function neighbour(store: ChatStore, peer: string | null, step: 1 | -1): string | null {
  const peers = inOrder(store.state.value).map((conversation) => conversation.peer);
  const at = peer === null ? -1 : peers.indexOf(peer);
  const next = at === -1 ? (step === 1 ? 0 : peers.length - 1) : at + step;
  return peers[next] ?? null;
}
