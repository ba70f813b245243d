import { isPending, type KeyValueStorage } from './storage.ts';
import type { Cursor } from './types.ts';
import { WriteBehind } from './write-behind.ts';

/** A cursor under a key of its own. */
export class CursorStore {
  readonly #storage: KeyValueStorage;
  readonly #key: string;
  readonly #writes: WriteBehind;
  readonly #failed: (error: unknown) => void;

  constructor(storage: KeyValueStorage, key: string, failed: (error: unknown) => void) {
    this.#storage = storage;
    this.#key = key;
    this.#failed = failed;
    this.#writes = new WriteBehind(storage, failed);
    this.#writes.known(key);
  }

  /** At once if the storage is synchronous. What can't be read counts as none. */
  load(done: (cursor: Cursor | null) => void): void {
    const failed = (error: unknown) => {
      this.#failed(error);
      done(null);
    };
    try {
      const value = this.#storage.getItem(this.#key);
      if (isPending(value)) value.then(parse).then(done, failed);
      else done(parse(value));
    } catch (error) {
      failed(error);
    }
  }

  save(cursor: Cursor): void {
    this.#writes.set(this.#key, JSON.stringify(cursor));
  }

  forget(): void {
    this.#writes.remove(this.#key);
  }
}

function parse(value: string | null | undefined): Cursor | null {
  if (value === null || value === undefined) return null;
  const { epoch, since } = JSON.parse(value) as Partial<Cursor>;
  return typeof epoch === 'string' && typeof since === 'number' ? { epoch, since } : null;
}
