import { useEffect, useEffectEvent, useState } from 'react';
import { inOrder } from '../model/chat-state.ts';
import type { ChatStore } from '../model/chat-store.ts';
import { plural } from '../model/format.ts';
import { go } from '../model/route.ts';
import { WORTH_SAYING_MS } from './connection-status.tsx';
import { useLasting, usePart } from './hooks.ts';
import { PersonList } from './person-list.tsx';

/** Long enough for the next key stroke, short enough to seem immediate. */
const PAUSE_MS = 120;
/** Limit on the conversations shown: thousands may be loaded, and a single letter matches most. */
const SHOWN_MAX = 100;

type Found =
  | { readonly status: 'searching' }
  | { readonly status: 'failed'; readonly query: string; readonly connected: boolean }
  | { readonly status: 'found'; readonly query: string; readonly users: readonly string[] };

/** A form in which names that read alike are equal. */
const folded = (name: string): string => name.normalize().toLowerCase();

type SearchResultsProps = {
  readonly store: ChatStore;
  readonly query: string;
  readonly open: string | null;
  /** Enter was pressed: whoever has exactly this name is chosen, else the first result once all are there. */
  readonly eager: boolean;
  readonly onChosen: () => void;
  /** The focused button is about to disappear. */
  readonly onLeave: () => void;
};

/** Conversations whose name contains the text, then users whose name begins with it. */
export function SearchResults({ store, query, open, eager, onChosen, onLeave }: SearchResultsProps) {
  const [found, setFound] = useState<Found>({ status: 'searching' });
  const settled = found.status === 'found' && found.query === query;
  const online = usePart(store.state, ({ connection }) => connection.name === 'online');
  const [attempt, setAttempt] = useState(0);
  const isSettled = useEffectEvent(() => settled);
  const fail = useEffectEvent((failed: string) =>
    setFound({ status: 'failed', query: failed, connected: online }),
  );

  // biome-ignore lint/correctness/useExhaustiveDependencies: what failed is tried again when the connection is back.
  useEffect(() => {
    if (isSettled()) return;
    let current = true;
    const timer = setTimeout(() => {
      store.searchUsers(query).then(
        (users) => current && setFound({ status: 'found', query, users }),
        () => current && fail(query),
      );
    }, PAUSE_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [store, query, online, attempt]);

  const { me } = store.state.value;
  const needle = folded(query);
  const matches = inOrder(store.state.value)
    .map(({ peer }) => peer)
    .filter((peer) => folded(peer).includes(needle));
  const known = matches.slice(0, SHOWN_MAX);
  // Until the answer comes, the previous one stands in for it, without the users that no longer match: Enter must not open a
  // conversation with anybody but the one that was typed.
  const others =
    found.status === 'found'
      ? found.users.filter((user) => folded(user).startsWith(needle) && !matches.includes(user))
      : [];
  if (folded(me) === needle && !matches.includes(me)) others.push(me);
  const total = matches.length + others.length;

  const all = [...matches, ...others];
  // Who types a whole name means that person, whom only the answer may bring, and not the first with a name like it.
  const answered = found.status !== 'searching' && found.query === query;
  const likely = all.find((person) => folded(person) === needle) ?? all[0];
  const chosen = all.includes(query) ? query : answered || !online ? likely : undefined;
  const slow = useLasting(!answered, WORTH_SAYING_MS);
  const failed = found.status === 'failed' && !slow ? found : null;
  const choose = useEffectEvent((person: string) => {
    go(person);
    onChosen();
  });
  useEffect(() => {
    if (eager && chosen !== undefined) choose(chosen);
  }, [eager, chosen]);

  const tryAgain = () => {
    onLeave();
    setFound({ status: 'searching' });
    setAttempt(attempt + 1);
  };
  return (
    <nav className="list" aria-label="Search results">
      {known.length > 0 && (
        <PersonList title="Conversations" people={known} store={store} open={open} onChosen={onChosen} />
      )}
      {matches.length > known.length && (
        <p className="list-note">{matches.length - known.length} more: type more of the name.</p>
      )}
      {others.length > 0 && (
        <PersonList title="People" people={others} store={store} open={open} onChosen={onChosen} />
      )}
      <p className={total === 0 || slow || failed !== null ? 'list-note' : 'unseen'} role="status">
        {slow && 'Searching…'}
        {failed !== null && <Failed connected={failed.connected} onTryAgain={tryAgain} />}
        {settled && (total === 0 ? `Nobody’s name begins with “${query}”.` : plural(total, 'result'))}
      </p>
    </nav>
  );
}

function Failed({ connected, onTryAgain }: { readonly connected: boolean; readonly onTryAgain: () => void }) {
  if (!connected) return 'People can only be searched while connected.';
  return (
    <>
      People could not be searched.{' '}
      <button type="button" className="link-button" onClick={onTryAgain}>
        Try again
      </button>
    </>
  );
}
