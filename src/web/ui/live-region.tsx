import { useEffect, useState } from 'react';
import type { ChatStore } from '../model/chat-store.ts';
import { useConnectionTrouble } from './connection-status.tsx';

type LiveRegionProps = { readonly store: ChatStore; readonly open: string | null };

/**
 * Reads new messages to those who listen. The message list itself is not a live region: scrolling puts messages into
 * it and takes them out.
 */
export function LiveRegion({ store, open }: LiveRegionProps) {
  const [text, setText] = useState('');
  useEffect(
    () =>
      store.onArrival((message, peer) => {
        setText(peer === open ? `${peer}: ${message.message}` : `New message from ${peer}`);
      }),
    [store, open],
  );
  const troubled = useConnectionTrouble(store) !== null;
  return (
    <>
      <div className="unseen" role="log" aria-live="polite" aria-label="New messages">
        {text}
      </div>
      {/* Without the seconds that count down beside the name: nobody wants to listen to those. */}
      <div className="unseen" role="status">
        {troubled ? 'You are offline' : ''}
      </div>
    </>
  );
}
