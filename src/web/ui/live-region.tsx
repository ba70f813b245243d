import { useEffect, useState } from 'react';
import type { ChatStore } from '../model/chat-store.ts';
import { useConnectionTrouble } from './connection-status.tsx';

/** Messages that arrive together are read one after the other, up to this many. */
const KEPT = 5;

type LiveRegionProps = { readonly store: ChatStore; readonly open: string | null };

/**
 * Announces new messages to screen readers, and refusals of the user's own. The message list itself is not a live region, because
 * scrolling adds and removes messages.
 */
export function LiveRegion({ store, open }: LiveRegionProps) {
  const [said, setSaid] = useState<readonly { readonly id: number; readonly text: string }[]>([]);
  useEffect(() => {
    const say = (text: string) =>
      setSaid((before) => [...before, { id: (before.at(-1)?.id ?? 0) + 1, text }].slice(-KEPT));
    const stops = [
      store.onArrival((message, peer) =>
        say(peer === open ? `${peer}: ${message.message}` : `New message from ${peer}`),
      ),
      store.client.on('outbox', ({ kind, entry }) => {
        if (kind === 'updated' && entry.status === 'failed')
          say(`Message to ${entry.to} not sent: ${entry.error}`);
      }),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }, [store, open]);
  const troubled = useConnectionTrouble(store) !== null;
  return (
    <>
      <div className="unseen" role="log" aria-live="polite" aria-label="New messages">
        {/* Each is a new node, because an unchanged text is not read again. */}
        {said.map(({ id, text }) => (
          <p key={id}>{text}</p>
        ))}
      </div>
      {/* Without the visible countdown of seconds, which nobody wants to hear. */}
      <div className="unseen" role="status">
        {troubled ? 'You are offline' : ''}
      </div>
    </>
  );
}
