/**
 * Keeps the outbox beyond the life of the page: a map of strings, synchronous or not.
 *
 * Every outbox entry has its own key and is only ever written whole. So tabs that share a storage never read, change and write
 * back, and can't undo each other's work.
 *
 * A method may throw or reject: that is reported as a `problem` during `the storage`, and the client goes on with what it has in memory.
 */
export type KeyValueStorage = {
  getItem(key: string): string | null | undefined | PromiseLike<string | null | undefined>;
  setItem(key: string, value: string): unknown;
  removeItem(key: string): unknown;
  /** All keys, or at least those that begin with `prefix`. */
  keys(prefix: string): Iterable<string> | PromiseLike<Iterable<string>>;
};

/** The part of the DOM's `Storage` that `webStorage` uses. */
export type WebStorageLike = {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
};

/** `webStorage(localStorage)`. With `sessionStorage`, unsent messages live as long as the tab. */
export function webStorage(storage: WebStorageLike): KeyValueStorage {
  return {
    getItem: (key) => storage.getItem(key),
    setItem: (key, value) => storage.setItem(key, value),
    removeItem: (key) => storage.removeItem(key),
    keys: (prefix) => {
      const keys: string[] = [];
      for (let i = 0; i < storage.length; i++) {
        const key = storage.key(i);
        if (key?.startsWith(prefix)) keys.push(key);
      }
      return keys;
    },
  };
}

/** A storage that lives as long as `entries` do: for tests, and to pass unsent messages from one client to the next. */
export function memoryStorage(entries: Map<string, string> = new Map()): KeyValueStorage {
  return {
    getItem: (key) => entries.get(key),
    setItem: (key, value) => void entries.set(key, value),
    removeItem: (key) => void entries.delete(key),
    keys: (prefix) => [...entries.keys()].filter((key) => key.startsWith(prefix)),
  };
}

export const isPending = <T>(value: T | PromiseLike<T>): value is PromiseLike<T> =>
  typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
