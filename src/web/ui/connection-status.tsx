import type { ConnectionState } from '../../client/index.ts';
import type { ChatStore } from '../model/chat-store.ts';
import { shared } from '../model/storage.ts';
import { useLasting, usePart, useSecondsUntil } from './hooks.ts';

/** A reconnect or a send that takes less than this is not mentioned. */
export const WORTH_SAYING_MS = 1_200;

const isLive = ({ name }: ConnectionState): boolean => name === 'online' || name === 'catching-up';

/** What to say about the connection; null while all is well. */
export function useConnectionTrouble(store: ChatStore): string | null {
  const connection = usePart(store.state, (state) => state.connection);
  const seconds = useSecondsUntil(connection.name === 'waiting' ? connection.retryAt : null);
  const lasting = useLasting(!isLive(connection), WORTH_SAYING_MS);
  if (connection.name === 'stopped') return 'Not connected';
  if (!lasting) return null;
  if (!navigator.onLine) return 'No network';
  if (connection.name === 'waiting' && seconds > 1) return `Reconnecting in ${seconds} s`;
  return 'Connecting…';
}

type OfflineNoticeProps = {
  readonly store: ChatStore;
  /** The focused button is about to disappear. */
  readonly onLeave: () => void;
};

/** Above the composer: what being offline means for the next message. */
export function OfflineNotice({ store, onLeave }: OfflineNoticeProps) {
  const connection = usePart(store.state, (state) => state.connection);
  const tryNow = () => {
    onLeave();
    store.client.connect();
  };
  if (connection.name === 'stopped') {
    return (
      <p className="strip-notice" role="status">
        <span>{connection.because.message}</span>{' '}
        <button type="button" className="link-button" onClick={tryNow}>
          Try again
        </button>
      </p>
    );
  }
  return (
    <p className="strip-notice">
      <span>
        {shared === null
          ? 'You are offline. Messages wait in this page only: do not close it before you are back.'
          : 'You are offline. Messages wait until you are back.'}
      </span>{' '}
      {navigator.onLine && connection.name === 'waiting' && (
        <button type="button" className="link-button" onClick={tryNow}>
          Try now
        </button>
      )}
    </p>
  );
}
