import { isMessageId } from './arguments.ts';
import { backoffMs } from './backoff.ts';
import type { Clock } from './clock.ts';
import { isPending, type KeyValueStorage } from './storage.ts';
import type { Cursor } from './types.ts';
import { WriteBehind } from './write-behind.ts';

/** Reads until the cursor is given up, and the pauses between them. */
const READS = 5;
const RETRY = { baseMs: 500, capMs: 10_000 } as const;

export type CursorStoreOptions = {
  readonly clock: Clock;
  readonly random: () => number;
  readonly failed: (error: unknown) => void;
};

/** A cursor under a key of its own. */
export class CursorStore {
  readonly #storage: KeyValueStorage;
  readonly #key: string;
  readonly #options: CursorStoreOptions;
  readonly #writes: WriteBehind;
  /** What is stored stays: it could not be read, and may be another time; or it was forgotten, and stays so. */
  #sealed = false;

  constructor(storage: KeyValueStorage, key: string, options: CursorStoreOptions) {
    this.#storage = storage;
    this.#key = key;
    this.#options = options;
    this.#writes = new WriteBehind(storage, options.failed);
    this.#writes.known(key);
  }

  /**
   * At once if the storage is synchronous. A read that fails is repeated: without its cursor a client misses messages.
   * @param done is told `lost` when there is a cursor, or may be one, that can't be read
   */
  load(signal: AbortSignal, done: (cursor: Cursor | null | 'lost') => void, failures = 0): void {
    const read = (value: string | null | undefined) => {
      if (signal.aborted) return;
      this.#sealed = false;
      done(this.#parse(value));
    };
    const failed = (error: unknown) => {
      this.#options.failed(error);
      if (signal.aborted) return;
      if (failures + 1 === READS) {
        this.#sealed = true;
        done('lost');
        return;
      }
      const ms = backoffMs(failures, this.#options.random, RETRY);
      const cancel = this.#options.clock.after(ms, () => this.load(signal, done, failures + 1));
      signal.addEventListener('abort', cancel);
    };
    let value: ReturnType<KeyValueStorage['getItem']>;
    try {
      value = this.#storage.getItem(this.#key);
    } catch (error) {
      failed(error);
      return;
    }
    if (isPending(value)) value.then(read, failed);
    else read(value);
  }

  save(cursor: Cursor): void {
    if (!this.#sealed) this.#writes.set(this.#key, JSON.stringify(cursor));
  }

  forget(): void {
    this.#sealed = true;
    this.#writes.remove(this.#key);
  }

  /** Resolves when nothing waits to be written. */
  idle(): Promise<void> {
    return this.#writes.idle();
  }

  #parse(value: string | null | undefined): Cursor | null | 'lost' {
    if (value === null || value === undefined) return null;
    const cursor = parse(value);
    if (cursor !== null) return cursor;
    this.#options.failed(new Error(`not a cursor: ${this.#key}`));
    return 'lost';
  }
}

/** What a server would refuse counts as unreadable: with it, no connection would ever come about. */
function parse(text: string): Cursor | null {
  try {
    const { epoch, since } = JSON.parse(text) as Partial<Cursor>;
    return typeof epoch === 'string' && epoch !== '' && isMessageId(since)
      ? ({ epoch, since } as Cursor)
      : null;
  } catch {
    return null;
  }
}
