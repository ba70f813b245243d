import { useEffect, useState } from 'react';
import type { ChatStore } from '../model/chat-store.ts';
import { ADDRESS } from '../model/site.ts';
import { CopyIcon } from './icons.tsx';
import { PersonList } from './person-list.tsx';

/** Shown when there are no conversations: whom one could talk to, or how they would get here. */
export function FirstSteps({ store }: { readonly store: ChatStore }) {
  const [people, setPeople] = useState<readonly string[] | null>(null);

  useEffect(() => {
    let current = true;
    const look = () =>
      store.client.searchUsers('', { limit: 20 }).then(
        (users) => current && setPeople(users),
        // Who can't be asked for is not taken for nobody.
        () => {},
      );
    void look();
    // New users appear without a reload.
    const timer = setInterval(() => {
      if (store.attention.present && store.state.value.connection.name === 'online') void look();
    }, 5_000);
    return () => {
      current = false;
      clearInterval(timer);
    };
  }, [store]);

  if (people === null) return <div className="list" />;
  if (people.length > 0) {
    return (
      <nav className="list" aria-label="People">
        <p className="list-note">No conversations yet. Say hello to someone:</p>
        <PersonList title="People" people={people} store={store} open={null} />
      </nav>
    );
  }
  return (
    <div className="list list-empty">
      <h2>You are the first one here</h2>
      <p>
        Others can create an account at this address. Or open it in a second window, and be two people
        yourself.
      </p>
      <CopyAddress />
    </div>
  );
}

function CopyAddress() {
  const [copied, setCopied] = useState(false);
  const copy = () => {
    navigator.clipboard?.writeText(ADDRESS).then(
      () => setCopied(true),
      () => {},
    );
  };
  return (
    <div className="copy">
      <code>{ADDRESS}</code>
      {'clipboard' in navigator && (
        <button type="button" className="icon-button" aria-label="Copy the address" onClick={copy}>
          <CopyIcon size={18} />
        </button>
      )}
      <span className="unseen" role="status">
        {copied ? 'Copied' : ''}
      </span>
    </div>
  );
}
