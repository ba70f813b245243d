import type { KeyValueStorage } from '../../client/index.ts';

/** Null where the browser keeps nothing for this page (blocked cookies, some private windows). */
function usable(name: 'localStorage' | 'sessionStorage'): Storage | null {
  try {
    const storage = window[name];
    // One that holds something is usable even when it is full: what is there can be read, and a failed write is told.
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

/** What the browser keeps nowhere, or had no room for: it outlives a session that ends, and not the page. */
const onlyHere = new Map<string, string>();

/** Where unsent messages wait. What the browser does not take is told as a failure, and is here all the same. */
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

/** Null removes. A full storage is no reason to fail: what is kept here is a convenience. */
export function write(storage: Storage | null, key: string, value: string | null): void {
  try {
    if (value === null) storage?.removeItem(key);
    else storage?.setItem(key, value);
  } catch {}
}

/**
 * Calls back when another tab has changed what they share under `key`. A page that was put away hears of nothing, and may
 * come back by the browser's back button: it looks for itself.
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
