import { type KeyboardEvent, type RefObject, useState } from 'react';
import { LIMITS } from '../../contract/limits.ts';
import type { ChatStore } from '../model/chat-store.ts';
import { Avatar } from './avatar.tsx';
import { useConnectionTrouble } from './connection-status.tsx';
import { ConversationList } from './conversation-list.tsx';
import { isComposing, usePart } from './hooks.ts';
import { CloseIcon, SearchIcon, SettingsIcon } from './icons.tsx';
import { NotificationOffer } from './notification-offer.tsx';
import { SearchResults } from './search-results.tsx';

type SidebarProps = {
  readonly store: ChatStore;
  readonly open: string | null;
  readonly search: RefObject<HTMLInputElement | null>;
  readonly onSettings: () => void;
};

export function Sidebar({ store, open, search, onSettings }: SidebarProps) {
  const me = usePart(store.state, (state) => state.me);
  const trouble = useConnectionTrouble(store);
  const [query, setQuery] = useState('');
  const [eager, setEager] = useState(false);

  const change = (next: string) => {
    setQuery(next);
    setEager(false);
  };

  const toSearch = () => search.current?.focus();

  const clear = () => {
    change('');
    toSearch();
  };

  return (
    <section className="sidebar" aria-label="Conversations and people" onKeyDown={moveByArrows}>
      <header className="sidebar-head">
        <Avatar name={me} size="small" online={trouble === null} />
        <div className="head-text">
          <p className="head-name">
            <bdi>{me}</bdi>
          </p>
          <p className={trouble === null ? 'head-state' : 'head-state is-trouble'}>{trouble ?? 'Online'}</p>
        </div>
        <button
          type="button"
          className="icon-button"
          aria-label="Settings"
          title="Settings"
          onClick={onSettings}
        >
          <SettingsIcon />
        </button>
      </header>
      <search className="search">
        <SearchIcon size={18} />
        <input
          ref={search}
          type="text"
          inputMode="search"
          dir="auto"
          enterKeyHint="search"
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          maxLength={LIMITS.userIdLookupUnits}
          placeholder="Find people"
          aria-label="Find people and conversations"
          aria-keyshortcuts="Control+K"
          value={query}
          onChange={(event) => change(event.target.value)}
          // Who writes elsewhere by now is not to be taken to whom a slow answer brings.
          onBlur={() => setEager(false)}
          onKeyDown={(event) => {
            if (isComposing(event)) return;
            if (event.key === 'Escape') change('');
            if (event.key === 'Enter') setEager(true);
          }}
        />
        {query !== '' && (
          <button type="button" className="icon-button" aria-label="Clear search" onClick={clear}>
            <CloseIcon size={18} />
          </button>
        )}
      </search>
      {query.trim() === '' ? (
        <ConversationList store={store} open={open} onLeave={toSearch} />
      ) : (
        <SearchResults
          store={store}
          query={query.trim()}
          open={open}
          eager={eager}
          onChosen={() => change('')}
          onLeave={toSearch}
        />
      )}
      <NotificationOffer onLeave={toSearch} />
    </section>
  );
}

const ITEMS = '.item';

/** Arrow keys move from the search field through the entries and back. Tab works, too. */
function moveByArrows(event: KeyboardEvent<HTMLElement>): void {
  if (event.altKey || (event.key !== 'ArrowDown' && event.key !== 'ArrowUp')) return;
  const stops = [...event.currentTarget.querySelectorAll<HTMLElement>(`.search input, ${ITEMS}`)];
  const at = stops.indexOf(document.activeElement as HTMLElement);
  const next = stops[at + (event.key === 'ArrowDown' ? 1 : -1)];
  if (at === -1 || next === undefined) return;
  event.preventDefault();
  next.focus();
}
