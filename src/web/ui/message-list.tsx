import {
  type Ref,
  useCallback,
  useEffect,
  useEffectEvent,
  useImperativeHandle,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from 'react';
import { Virtualizer, type VirtualizerHandle } from 'virtua';
import type { Conversation } from '../model/chat-state.ts';
import type { ChatStore } from '../model/chat-store.ts';
import { nameOf, plural } from '../model/format.ts';
import { type Row, timeline } from '../model/timeline.ts';
import { useToday } from './hooks.ts';
import { DownIcon } from './icons.tsx';
import { MessageRow } from './message-row.tsx';

/** Pixels from the top at which older messages are loaded: a few screens ahead of a fast scroll. */
const AHEAD = 1_500;
/** Within this many pixels, the end counts as in view. */
const NEAR = 24;
/** Where scrolling puts the "new messages" line, in pixels from the top. */
const LINE_FROM_TOP = 48;
/** The beginning of a visit is in place once nothing has moved for so many frames: Virtua measures and scrolls over some. */
const STILL_FRAMES = 3;
/** Frames after which it counts as in place whatever moves: the user may be scrolling. */
const FRAMES_TO_BEGIN_MAX = 12;

export type MessageListHandle = {
  /** The user is about to write: shows the end, and stays there. */
  follow(): void;
};

type MessageListProps = {
  readonly ref: Ref<MessageListHandle>;
  readonly store: ChatStore;
  readonly conversation: Conversation;
  readonly me: string;
  /** The focused control is about to disappear. */
  readonly onLeave: () => void;
};

/** Whether showing the end would hide the line above the first new message. */
function wouldHideLine(list: VirtualizerHandle | null, rows: readonly Row[]): boolean {
  const marked = rows.findIndex(({ newMark }) => newMark);
  if (list === null || marked < 0) return false;
  return list.scrollSize - list.getItemOffset(marked) > list.viewportSize - LINE_FROM_TOP;
}

export function MessageList({ ref, store, conversation, me, onLeave }: MessageListProps) {
  const { peer, messages, pending, peerRead, newAfter, unread, nextBefore, history, older } = conversation;
  // Independent of read markers and loading states, since there may be thousands of rows.
  const rows = useMemo(
    () => timeline({ peer, messages, pending, peerRead, newAfter }, me),
    [peer, messages, pending, peerRead, newAfter, me],
  );
  const now = useToday();
  const view = useRef<HTMLElement>(null);
  const list = useRef<VirtualizerHandle>(null);
  const [atEnd, setAtEnd] = useState(true);
  /** Whether the list keeps its end in view, whatever grows or shrinks. */
  const following = useRef(true);
  /** Whether the beginning of the visit is in place. Where the view is until then is no place anybody has scrolled to. */
  const begun = useRef(false);
  const latest = useRef(rows);
  latest.current = rows;

  // True only in the render in which older messages were put in front. The view then keeps its distance to the end.
  const first = rows[0]?.key;
  const firstBefore = useRef(first);
  const shift = firstBefore.current !== undefined && firstBefore.current !== first;
  useLayoutEffect(() => {
    firstBefore.current = first;
  }, [first]);

  const showEnd = useCallback(
    () => list.current?.scrollToIndex(latest.current.length - 1, { align: 'end' }),
    [],
  );

  const reportSeen = useCallback(() => {
    const handle = list.current;
    if (handle === null || !begun.current || !store.attention.present) return;
    let index = handle.findItemIndex(handle.scrollOffset + handle.viewportSize - NEAR);
    if (following.current) index = latest.current.length - 1;
    for (; index >= 0; index--) {
      const id = latest.current[index]?.id;
      if (id != null) return store.seen(peer, id);
    }
  }, [store, peer]);

  const loadAhead = () => {
    const handle = list.current;
    // Older messages that come in front end the scrolling to the beginning, wherever it is by then.
    if (handle === null || !begun.current) return;
    if (handle.scrollOffset < AHEAD && nextBefore !== null && older === 'idle') void store.loadOlder(peer);
  };

  const settle = () => {
    const handle = list.current;
    if (handle === null || !begun.current) return;
    following.current = handle.scrollSize - handle.scrollOffset - handle.viewportSize <= NEAR;
    store.atEnd = following.current;
    setAtEnd(following.current);
    reportSeen();
    loadAhead();
  };
  const settleNow = useEffectEvent(settle);

  useImperativeHandle(ref, () => ({
    follow() {
      following.current = true;
      showEnd();
    },
  }));

  // Begins at the first new message, or at the end.
  useLayoutEffect(() => {
    const marked = latest.current.findIndex(({ newMark }) => newMark);
    if (marked >= 0) {
      following.current = false;
      list.current?.scrollToIndex(marked, { align: 'start', offset: -LINE_FROM_TOP });
    } else showEnd();
    let [frames, still, place] = [0, 0, ''];
    const look = () => {
      const placeNow = `${list.current?.scrollOffset} of ${list.current?.scrollSize}`;
      still = placeNow === place ? still + 1 : 0;
      place = placeNow;
      if (still < STILL_FRAMES && ++frames < FRAMES_TO_BEGIN_MAX) {
        frame = requestAnimationFrame(look);
        return;
      }
      begun.current = true;
      settleNow();
    };
    let frame = requestAnimationFrame(look);
    return () => cancelAnimationFrame(frame);
  }, [showEnd]);

  const last = rows.at(-1)?.key;
  useLayoutEffect(() => {
    if (last === undefined || !following.current) return;
    if (!store.attention.present && wouldHideLine(list.current, latest.current)) {
      // Nobody is looking. On return, the user finds the first new message, not the last.
      following.current = false;
      store.atEnd = false;
      setAtEnd(false);
      return;
    }
    showEnd();
  }, [last, showEnd, store]);

  useEffect(() => {
    reportSeen();
    loadAhead();
  });

  useEffect(() => store.attention.subscribe(reportSeen), [store, reportSeen]);

  useEffect(() => {
    const observer = new ResizeObserver(() => {
      if (following.current) showEnd();
    });
    observer.observe(view.current!);
    return () => {
      observer.disconnect();
      store.atEnd = false;
    };
  }, [store, showEnd]);

  return (
    <div className="messages-frame">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard. */}
      <section className="messages" ref={view} tabIndex={0} aria-label={`Messages with ${nameOf(peer)}`}>
        <div className="messages-spacer" />
        <Virtualizer
          ref={list}
          scrollRef={view}
          data={rows}
          shift={shift}
          as="ol"
          item="li"
          bufferSize={600}
          onScroll={settle}
          onResize={() => {
            if (following.current) showEnd();
          }}
        >
          {(row, index) => (
            <MessageRow
              key={row.key}
              row={row}
              peer={peer}
              now={now}
              beginning={index === 0 && history === 'ready' && nextBefore === null}
              onRetry={(clientId) => {
                onLeave();
                store.retry(clientId);
              }}
              onDiscard={(clientId) => {
                onLeave();
                store.client.discard(clientId);
              }}
            />
          )}
        </Virtualizer>
      </section>
      {(older === 'loading' || history === 'loading') && (
        <span className="older-loading" aria-hidden="true" />
      )}
      {(older === 'failed' || history === 'failed') && (
        <p className="older-failed" role="status">
          Earlier messages could not be loaded.{' '}
          <button
            type="button"
            className="link-button"
            onClick={() => {
              // The whole list may go while the first page is loaded.
              if (history === 'failed') {
                onLeave();
                void store.loadHistory(peer);
              } else {
                view.current?.focus();
                void store.loadOlder(peer);
              }
            }}
          >
            Try again
          </button>
        </p>
      )}
      {!atEnd && (
        <button
          type="button"
          className="to-end"
          aria-label={
            unread > 0 ? `${plural(unread, 'new message')}: go to the end` : 'Go to the newest message'
          }
          onClick={() => {
            following.current = true;
            showEnd();
            onLeave();
          }}
        >
          <DownIcon size={20} />
          {unread > 0 && <span className="badge">{unread > 99 ? '99+' : unread}</span>}
        </button>
      )}
    </div>
  );
}
