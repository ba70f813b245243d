import type { KeyValueStorage } from '../../client/index.ts';

/** Null if the browser stores nothing for this page (blocked cookies, some private windows). */
function usable(name: 'localStorage' | 'sessionStorage'): Storage | null {
  try {
    const storage = window[name];
    // A storage with contents is usable even when it is full: they can be read, and failed writes are reported.
    if (storage.length === 0) {
      const probe = 'parley:probe';
      storage.setItem(probe, '');
      storage.removeItem(probe);
    }
    return storage;
  } catch {
    return null;
  }
}

/** Shared by all tabs. */
export const shared = usable('localStorage');
/** This tab's own; survives a reload. */
export const ownTab = usable('sessionStorage');

/** What the browser stores nowhere, or had no room for. It outlives a session that ends, but not the page. */
const onlyHere = new Map<string, string>();

/** The storage for unsent messages. A failed write is reported, and the value is kept here all the same. */
export const browserStorage: KeyValueStorage = {
  getItem: (key) => onlyHere.get(key) ?? shared?.getItem(key),
  setItem(key, value) {
    onlyHere.set(key, value);
    if (shared === null) return;
    shared.setItem(key, value);
    onlyHere.delete(key);
  },
  removeItem(key) {
    onlyHere.delete(key);
    shared?.removeItem(key);
  },
  keys: () => new Set([...onlyHere.keys(), ...Object.keys(shared ?? {})]),
};

/** Whether leaving the page would lose something. */
export const holdsUnkept = (): boolean => onlyHere.size > 0;

export function read(storage: Storage | null, key: string): string | null {
  return storage?.getItem(key) ?? null;
}

/** Null removes. A full storage is ignored: these values are a convenience. */
export function write(storage: Storage | null, key: string, value: string | null): void {
  try {
    if (value === null) storage?.removeItem(key);
    else storage?.setItem(key, value);
  } catch {}
}

/**
 * Calls back when another tab has changed what they share under `key`. A page in the browser's back/forward cache gets no events,
 * and may come back by the back button, so it compares the value itself.
 */
export function onChange(key: string, changed: () => void): void {
  let before: string | null = null;
  window.addEventListener('storage', (event) => {
    if (event.key === key || event.key === null) changed();
  });
  window.addEventListener('pagehide', () => {
    before = read(shared, key);
  });
  window.addEventListener('pageshow', ({ persisted }) => {
    if (persisted && read(shared, key) !== before) changed();
  });
}
