import { useCallback, useEffect, useRef, useState } from 'react';
import type { ChatStore } from '../model/chat-store.ts';
import { nameOf } from '../model/format.ts';
import { go } from '../model/route.ts';
import { Avatar } from './avatar.tsx';
import { Composer } from './composer.tsx';
import { OfflineNotice, useConnectionTrouble, WORTH_SAYING_MS } from './connection-status.tsx';
import { isTouch, useLasting, usePart } from './hooks.ts';
import { BackIcon } from './icons.tsx';
import { MessageList, type MessageListHandle } from './message-list.tsx';

type ConversationProps = { readonly store: ChatStore; readonly peer: string };

export function Conversation({ store, peer }: ConversationProps) {
  const conversation = usePart(store.state, (state) => state.conversations.get(peer));
  const online = usePart(store.state, (state) => state.online.has(peer));
  const typing = usePart(store.state, (state) => state.typing.has(peer));
  const me = usePart(store.state, (state) => state.me);
  const era = usePart(store.state, (state) => state.era);
  // While all is well, each send is acknowledged before anybody could leave the page.
  const unkept = useLasting(
    usePart(store.state, (state) => state.unkept),
    WORTH_SAYING_MS,
  );
  const trouble = useConnectionTrouble(store);
  const [problem, setProblem] = useState<string | null>(null);
  const list = useRef<MessageListHandle>(null);
  const composer = useRef<HTMLTextAreaElement>(null);

  const toComposer = useCallback(() => {
    // On a phone, the keyboard would cover what the user wants to read.
    if (!isTouch()) composer.current?.focus();
  }, []);
  useEffect(toComposer, [toComposer]);

  const send = async (text: string) => {
    setProblem(null);
    list.current?.follow();
    const refused = await store.send(peer, text);
    if (refused === null) return true;
    setProblem(refused.message);
    return false;
  };

  const state = trouble ?? (peer === me ? 'Notes to yourself' : online ? 'Online' : 'Offline');
  const history = conversation?.history ?? 'none';
  const waiting = (conversation?.pending.length ?? 0) > 0;
  const nothingYet = (conversation?.messages.length ?? 0) === 0 && !waiting;
  // A list that has just been opened waits for its history. What the user has read in it, or has written, does not go for that.
  const held = useRef(false);
  const shown = !nothingYet && (history !== 'loading' || waiting || held.current);
  const loading = history === 'loading' || (history === 'none' && trouble === null);
  const slow = useLasting(!shown && loading, WORTH_SAYING_MS);
  const lasting = useLasting(shown, WORTH_SAYING_MS);
  useEffect(() => {
    held.current ||= waiting || lasting;
  }, [waiting, lasting]);
  return (
    <>
      <header className="conversation-head">
        <button
          type="button"
          className="icon-button back"
          aria-label="Back to the list"
          onClick={() => go(null)}
        >
          <BackIcon size={24} />
        </button>
        <Avatar name={peer} size="small" online={online} />
        <div className="head-text">
          <h2 className="head-name">
            <bdi>{nameOf(peer)}</bdi>
          </h2>
          <p
            className={
              trouble === null ? (online ? 'head-state is-online' : 'head-state') : 'head-state is-trouble'
            }
          >
            {state}
          </p>
        </div>
      </header>
      {conversation !== undefined && shown ? (
        <MessageList
          key={era}
          ref={list}
          store={store}
          conversation={conversation}
          me={me}
          onLeave={toComposer}
        />
      ) : (
        <div className="messages-empty">
          {slow && <p role="status">Loading…</p>}
          {history === 'ready' && <Beginning peer={peer} me={me} />}
          {history === 'failed' && <Failed store={store} peer={peer} onLeave={toComposer} />}
          {history === 'none' && trouble !== null && <p>This conversation loads when you are connected.</p>}
        </div>
      )}
      <div className="strip">
        {/* A fresh refusal comes first: being offline is no news then. */}
        {problem !== null ? (
          <p className="strip-notice is-problem" role="alert">
            {problem}
          </p>
        ) : unkept ? (
          <p className="strip-notice is-problem" role="alert">
            This browser has no room left to keep what is not sent yet: do not close this page before it is.
          </p>
        ) : trouble !== null ? (
          <OfflineNotice store={store} onLeave={toComposer} />
        ) : (
          <p className="strip-notice" role="status">
            {typing && (
              <>
                <span className="typing-dots" aria-hidden="true">
                  <i />
                  <i />
                  <i />
                </span>
                <span className="typing-words">
                  <bdi>{peer}</bdi> is typing
                </span>
              </>
            )}
          </p>
        )}
      </div>
      <Composer
        input={composer}
        me={me}
        peer={peer}
        onSend={send}
        onTyping={() => {
          setProblem(null);
          // No typing signal to oneself.
          if (peer !== me) store.client.typing(peer);
        }}
      />
    </>
  );
}

function Beginning({ peer, me }: { readonly peer: string; readonly me: string }) {
  return (
    <div className="beginning">
      <Avatar name={peer} />
      {peer === me ? (
        <p>What you write here, only you can read.</p>
      ) : (
        <p>
          This is the beginning of your conversation with <bdi>{nameOf(peer)}</bdi>.
        </p>
      )}
    </div>
  );
}

type FailedProps = ConversationProps & { readonly onLeave: () => void };

function Failed({ store, peer, onLeave }: FailedProps) {
  const tryAgain = () => {
    onLeave();
    void store.loadHistory(peer);
  };
  return (
    <p>
      The messages could not be loaded.{' '}
      <button type="button" className="link-button" onClick={tryAgain}>
        Try again
      </button>
    </p>
  );
}
