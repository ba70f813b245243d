import { openSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { companionBytes } from '../db/files.ts';
import { CHECKPOINT_PAGES } from '../db/open.ts';

/** How often the length of the log is looked at, in milliseconds. */
const LOOK_EVERY_MS = 50;
const PAGE_BYTES = 4_096;

export type CheckpointJob = {
  readonly path: string;
  /** A descriptor of the database file, to sync it by. */
  readonly file: number;
  readonly pages: number;
  readonly everyMs: number;
};

/** The database as its checkpoints see it: the writer's own handle. */
export interface Checkpointed {
  /** Checkpoints by themselves, within a commit, once the log has grown by so many pages; 0: none. */
  autoCheckpoint(pages: number): void;
  /** Copies what the thread has left, so that the next commit begins the log anew. */
  finishCheckpoint(): void;
}

/**
 * Keeps the write-ahead log short without holding up commits. A checkpoint within a commit takes as long as the pages of
 * the whole log take to be written and synced, and every message waits behind it: 12–16 ms at 23,000 messages/s on a
 * small database, more on a large one. So a thread copies the bulk while commits go on, and the writer only
 * what came in meanwhile, since the log can begin anew only when it is copied to its end. The thread is started when the log is
 * half as long as that: most servers never need it, and its start is a tenth of theirs.
 */
export class Checkpointer {
  readonly #path: string;
  readonly #database: Checkpointed;
  readonly #onFailure: (error: unknown) => void;
  readonly #pages: number;
  readonly #looking: NodeJS.Timeout;
  #thread: Worker | undefined;
  #stopped = false;

  /**
   * @param pages checkpoints begin at this length of the log
   * @param onFailure is told once, if the thread could not start or ended by itself; commits do the checkpoints from then on
   */
  constructor(
    path: string,
    database: Checkpointed,
    onFailure: (error: unknown) => void,
    pages: number = CHECKPOINT_PAGES,
  ) {
    this.#path = path;
    this.#database = database;
    this.#onFailure = onFailure;
    this.#pages = pages;
    database.autoCheckpoint(0);
    this.#looking = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#looking.unref();
  }

  #look(): void {
    if (companionBytes(this.#path, '-wal') < (this.#pages / 2) * PAGE_BYTES) return;
    clearInterval(this.#looking);
    try {
      this.#startThread();
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #startThread(): void {
    // Never closed: that would drop every lock that SQLite has on the file in this process (POSIX, fcntl(2)).
    const file = openSync(this.#path, 'r');
    const workerData: CheckpointJob = { path: this.#path, file, pages: this.#pages, everyMs: LOOK_EVERY_MS };
    this.#thread = new Worker(new URL('./checkpoint-thread.ts', import.meta.url), { workerData });
    this.#thread.on('message', () => {
      if (!this.#stopped) this.#database.finishCheckpoint();
    });
    let failure: unknown = new Error('it ended');
    this.#thread.on('error', (error) => {
      failure = error;
    });
    this.#thread.on('exit', () => this.#giveUp(failure));
  }

  #giveUp(failure: unknown): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#database.autoCheckpoint(this.#pages);
    this.#onFailure(failure);
  }

  /** Resolves when the thread has closed its handle, or failed: what stops after it must stop either way. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#looking);
    if (this.#thread === undefined) return;
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    this.#thread.once('exit', () => resolve());
    this.#thread.postMessage('stop');
    await ended;
  }
}
