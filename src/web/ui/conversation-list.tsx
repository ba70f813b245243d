import { memo, useEffect, useEffectEvent, useMemo, useRef, useState } from 'react';
import { activeAt, type Conversation, inOrder } from '../model/chat-state.ts';
import type { ChatStore } from '../model/chat-store.ts';
import { beginningOf, listTime, nameOf, plural, spokenTime } from '../model/format.ts';
import { hrefOf } from '../model/route.ts';
import { Avatar } from './avatar.tsx';
import { WORTH_SAYING_MS } from './connection-status.tsx';
import { FirstSteps } from './first-steps.tsx';
import { useLasting, useListenable, useToday } from './hooks.ts';
import { AlertIcon, ClockIcon } from './icons.tsx';

type ConversationListProps = {
  readonly store: ChatStore;
  readonly open: string | null;
  /** The focused button is about to disappear. */
  readonly onLeave: () => void;
};

/** Pixels before the end at which the next page is loaded. */
const AHEAD = 600;

export function ConversationList({ store, open, onLeave }: ConversationListProps) {
  const state = useListenable(store.state);
  const { conversations, list, listBefore } = state;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the order depends on the conversations alone.
  const ordered = useMemo(() => inOrder(state), [conversations]);
  const now = useToday();

  const view = useRef<HTMLElement>(null);

  const loading = list === 'loading' && state.connection.name === 'online';
  const slow = useLasting(loading, WORTH_SAYING_MS);
  // Whoever asks again sees at once that something happens.
  const [again, setAgain] = useState(false);
  const tryAgain = async () => {
    onLeave();
    setAgain(true);
    await store.loadMoreConversations();
    setAgain(false);
  };

  const loadAhead = () => {
    // First the checks that cost nothing: reading a box's size makes the browser lay out the page.
    if (list !== 'ready' || listBefore === null) return;
    const box = view.current;
    // Without a height, the list is hidden: a phone shows the conversation in its place.
    if (box === null || box.clientHeight === 0) return;
    if (box.scrollHeight - box.scrollTop - box.clientHeight < AHEAD) void store.loadMoreConversations();
  };
  const loadAheadNow = useEffectEvent(loadAhead);

  // A list that does not fill the window can't be scrolled.
  useEffect(loadAhead);
  useEffect(() => {
    const listener = () => loadAheadNow();
    window.addEventListener('resize', listener);
    return () => window.removeEventListener('resize', listener);
  }, []);

  if (ordered.length === 0 && list === 'ready') return <FirstSteps store={store} />;
  return (
    <nav className="list" ref={view} aria-label="Conversations" onScroll={loadAhead}>
      {ordered.length === 0 && list === 'loading' && <Skeleton />}
      <ul>
        {ordered.map((conversation) => (
          <li key={conversation.peer}>
            <Item
              conversation={conversation}
              me={state.me}
              now={now}
              current={conversation.peer === open}
              online={state.online.has(conversation.peer)}
              typing={state.typing.has(conversation.peer)}
            />
          </li>
        ))}
      </ul>
      {/* The skeleton shows it to those who see. */}
      <p
        className={list === 'ready' || (loading && ordered.length === 0) ? 'unseen' : 'list-note'}
        role="status"
      >
        {loading && (again || slow) && 'Loading…'}
        {list === 'failed' && (
          <>
            The conversations could not be loaded.{' '}
            <button type="button" className="link-button" onClick={() => void tryAgain()}>
              Try again
            </button>
          </>
        )}
      </p>
    </nav>
  );
}

type ItemProps = {
  readonly conversation: Conversation;
  readonly me: string;
  readonly now: number;
  readonly current: boolean;
  readonly online: boolean;
  readonly typing: boolean;
};

/** More than fits on a line. */
const PREVIEW_UNITS = 200;

/** Thousands may be loaded, so a change to one must not render the others. */
const Item = memo(function Item({ conversation, me, now, current, online, typing }: ItemProps) {
  const { peer, last, pending, unread } = conversation;
  const at = activeAt(conversation);
  // A message that failed long ago is not the preview if there is a newer one.
  const waiting = pending.findLast(({ created_at }) => created_at >= at);
  const failed = pending.some(({ status }) => status === 'failed');
  const preview = beginningOf(waiting?.message ?? last?.message ?? '', PREVIEW_UNITS);
  const own = waiting !== undefined || last?.from === me;
  return (
    <a className="item" href={hrefOf(peer)} aria-current={current ? 'page' : undefined}>
      <Avatar name={peer} online={online} />
      <span className="item-name">
        <bdi>{nameOf(peer)}</bdi>
        {peer === me && <span className="item-you"> (you)</span>}
        {online && <span className="unseen">, online</span>}
      </span>
      <time className="item-time" dateTime={new Date(at).toISOString()} title={spokenTime(at)}>
        {listTime(at, now)}
      </time>
      <span className="item-preview">
        {typing ? (
          <span className="item-typing">is typing…</span>
        ) : (
          <>
            {failed && <AlertIcon size={14} />}
            {!failed && waiting !== undefined && <ClockIcon size={14} />}
            {failed && (
              <span className="unseen">
                {waiting?.status === 'failed' ? 'Not sent: ' : 'A message was not sent. '}
              </span>
            )}
            {own && peer !== me && <span className="item-own">You: </span>}
            <span dir="auto">{preview}</span>
          </>
        )}
        {unread > 0 && (
          <span className="badge">
            <span aria-hidden="true">{unread > 99 ? '99+' : unread}</span>
            <span className="unseen">{plural(unread, 'new message')}</span>
          </span>
        )}
      </span>
    </a>
  );
});

function Skeleton() {
  return (
    <div className="skeleton-list" aria-hidden="true">
      {['a', 'b', 'c', 'd', 'e', 'f'].map((key) => (
        <div key={key} className="skeleton-item">
          <span className="skeleton skeleton-avatar" />
          <span className="skeleton skeleton-line" />
          <span className="skeleton skeleton-line short" />
        </div>
      ))}
    </div>
  );
}
