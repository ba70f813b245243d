import { wrongSend } from './arguments.ts';
import { type ClientErrorCode, isClientErrorCode } from './errors.ts';
import { isPending, type KeyValueStorage } from './storage.ts';
import type { OutboxEntry } from './types.ts';
import { WriteBehind } from './write-behind.ts';

type Stored = {
  to: string;
  message: string;
  /** Milliseconds since 1970. */
  at: number;
  failed?: { code: ClientErrorCode; error: string };
};

/**
 * The outbox of one user in a storage: one key per entry. All clients of the user on this storage (tabs) share it. Each
 * takes over whatever it finds there; two that send the same entry do no harm, for its `client_id` is the same.
 */
export class OutboxStore {
  readonly #storage: KeyValueStorage;
  readonly #prefix: string;
  readonly #writes: WriteBehind;
  readonly #failed: (error: unknown) => void;
  /** For each `load` that is under way, what was removed since it began: it may have read that before. */
  readonly #removedSince = new Set<Set<string>>();

  /** @param prefix of the keys; nothing else may begin with it */
  constructor(storage: KeyValueStorage, prefix: string, failed: (error: unknown) => void) {
    this.#storage = storage;
    this.#prefix = prefix;
    this.#failed = failed;
    this.#writes = new WriteBehind(storage, failed);
  }

  put(entry: OutboxEntry): void {
    const stored: Stored = {
      to: entry.to,
      message: entry.message,
      at: entry.created_at,
      ...(entry.status === 'failed' && { failed: { code: entry.code, error: entry.error } }),
    };
    this.#writes.set(this.#prefix + entry.client_id, JSON.stringify(stored));
  }

  remove(clientId: string): void {
    for (const removed of this.#removedSince) removed.add(clientId);
    this.#writes.remove(this.#prefix + clientId);
  }

  /** Resolves when nothing waits to be written. */
  idle(): Promise<void> {
    return this.#writes.idle();
  }

  /**
   * Hands over the entries that can be read, oldest first: at once if the storage is synchronous.
   * What this store has removed is none of them, even if a slow storage still has it.
   * @param wanted says which `client_id`s to read at all
   */
  load(wanted: (clientId: string) => boolean, done: (entries: OutboxEntry[]) => void): void {
    const removed = new Set<string>();
    this.#removedSince.add(removed);
    const end = (entries: OutboxEntry[]) => {
      this.#removedSince.delete(removed);
      done(entries.filter(({ client_id }) => !removed.has(client_id)));
    };
    const failed = (error: unknown) => {
      this.#failed(error);
      end([]);
    };
    const read = (keys: Iterable<string>) => {
      const all = [...keys].filter((key) => key.startsWith(this.#prefix));
      const mine = all.filter((key) => !this.#writes.removes(key) && wanted(key.slice(this.#prefix.length)));
      // Where it failed, it may do better now.
      for (const key of all) if (this.#writes.removes(key)) this.#writes.remove(key);
      for (const key of mine) this.#writes.known(key);
      whenAll(
        mine.map((key) => this.#read(key)),
        (values) => end(this.#parseAll(mine, values)),
        failed,
      );
    };
    try {
      whenAll([this.#storage.keys(this.#prefix)], ([keys]) => read(keys ?? []), failed);
    } catch (error) {
      failed(error);
    }
  }

  /** Removes every entry of this user, those of other clients too. Resolves when that is done. */
  clear(): Promise<void> {
    return new Promise((resolve) => {
      this.load(
        () => true,
        (entries) => {
          for (const entry of entries) this.remove(entry.client_id);
          resolve(this.idle());
        },
      );
    });
  }

  /** One that can't be read is told, and stays where it is: the others are read all the same. */
  #read(key: string): ReturnType<KeyValueStorage['getItem']> {
    const failed = (error: unknown) => {
      this.#failed(error);
      return null;
    };
    try {
      const value = this.#storage.getItem(key);
      return isPending(value) ? value.then(undefined, failed) : value;
    } catch (error) {
      return failed(error);
    }
  }

  #parseAll(keys: readonly string[], values: readonly (string | null | undefined)[]): OutboxEntry[] {
    const found: OutboxEntry[] = [];
    keys.forEach((key, i) => {
      const value = values[i];
      // Another client may have settled the entry since its key was listed.
      if (value === null || value === undefined) return;
      const stored = parse(value);
      const client_id = key.slice(this.#prefix.length);
      // What `send` would not have taken would be refused, or end the connection, each time it is sent.
      if (stored === null || wrongSend(stored.to, stored.message, client_id) !== null) {
        this.#failed(new Error(`not an outbox entry: ${key}`));
        return;
      }
      const base = { client_id, to: stored.to, message: stored.message, created_at: stored.at };
      found.push(
        stored.failed ? { ...base, status: 'failed', ...stored.failed } : { ...base, status: 'queued' },
      );
    });
    return found.sort((a, b) => a.created_at - b.created_at);
  }
}

/** `Promise.all`, but without a turn of the event loop when nothing in `values` is a promise. */
function whenAll<T>(
  values: readonly (T | PromiseLike<T>)[],
  then: (values: T[]) => void,
  failed: (error: unknown) => void,
): void {
  if (values.some(isPending)) Promise.all(values).then(then).catch(failed);
  else then(values as T[]);
}

function parse(text: string): Stored | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { to, message, at, failed } = value as Record<string, unknown>;
  if (typeof to !== 'string' || typeof message !== 'string') return null;
  // Whoever shows the entry makes a date of it, which throws beyond what a Date can hold.
  if (typeof at !== 'number' || Number.isNaN(new Date(at).getTime())) return null;
  const stored: Stored = { to, message, at };
  if (typeof failed === 'object' && failed !== null) {
    const { code, error } = failed as Record<string, unknown>;
    if (typeof code === 'string' && isClientErrorCode(code) && typeof error === 'string')
      stored.failed = { code, error };
  }
  return stored;
}
