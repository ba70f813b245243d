import { isPending, type KeyValueStorage } from './storage.ts';

/**
 * Writes to a storage that may be slow, one at a time, so that a later write never lands before an earlier one. For each
 * key only the newest wish is kept: what waits is bounded by the number of keys in use. On a synchronous storage every
 * write is done when `set` returns.
 */
export class WriteBehind {
  readonly #storage: KeyValueStorage;
  readonly #failed: (error: unknown) => void;
  /** Key to value, until it is written; null removes. */
  readonly #wishes = new Map<string, string | null>();
  /** Keys that may be in the storage: removing another needs no write. */
  readonly #present = new Set<string>();
  /** Keys whose removal failed. */
  readonly #unremoved = new Set<string>();
  #writing = false;
  readonly #whenIdle: (() => void)[] = [];

  constructor(storage: KeyValueStorage, failed: (error: unknown) => void) {
    this.#storage = storage;
    this.#failed = failed;
  }

  /** Tells of a key that is in the storage already. */
  known(key: string): void {
    this.#present.add(key);
  }

  set(key: string, value: string): void {
    this.#wish(key, value);
  }

  remove(key: string): void {
    if (this.#present.has(key) || this.#unremoved.has(key)) this.#wish(key, null);
    else this.#wishes.delete(key);
  }

  /** Whether a removal of `key` is on its way, or has failed: what is read of it counts no more. */
  removes(key: string): boolean {
    return this.#wishes.get(key) === null || this.#unremoved.has(key);
  }

  /** Resolves when nothing waits to be written. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#writing) this.#whenIdle.push(resolve);
      else resolve();
    });
  }

  #wish(key: string, value: string | null): void {
    this.#wishes.delete(key);
    this.#wishes.set(key, value);
    this.#unremoved.delete(key);
    if (!this.#writing) this.#write();
  }

  #write(): void {
    this.#writing = true;
    for (const [key, value] of this.#wishes) {
      const written = () => {
        if (value === null) this.#present.delete(key);
        if (this.#wishes.get(key) === value) this.#wishes.delete(key);
      };
      const failed = (error: unknown) => {
        if (value === null && this.#wishes.get(key) === null) this.#unremoved.add(key);
        this.#failed(error);
      };
      try {
        const done = this.#store(key, value);
        if (isPending(done)) {
          done.then(undefined, failed).then(() => {
            written();
            this.#write();
          });
          return;
        }
      } catch (error) {
        failed(error);
      }
      written();
    }
    this.#writing = false;
    for (const idle of this.#whenIdle.splice(0)) idle();
  }

  #store(key: string, value: string | null): unknown {
    if (value === null) return this.#storage.removeItem(key);
    this.#present.add(key);
    return this.#storage.setItem(key, value);
  }
}
