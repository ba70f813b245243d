import { openSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { logBytes } from '../db/files.ts';
import { CHECKPOINT_PAGES } from '../db/open.ts';

/** How often the length of the log is checked, in milliseconds. */
const LOOK_EVERY_MS = 50;
const PAGE_BYTES = 4_096;

export type CheckpointJob = {
  readonly path: string;
  /** A descriptor of the database file, for syncing it. */
  readonly file: number;
  readonly pages: number;
  readonly everyMs: number;
};

/** What the checkpointer needs of the database: the writer's own handle. */
export interface Checkpointed {
  /** Makes commits checkpoint by themselves once the log has grown by this many pages; 0: never. */
  autoCheckpoint(pages: number): void;
  /** Copies what the thread has left, so that the next commit restarts the log. */
  finishCheckpoint(): void;
}

/**
 * Keeps the write-ahead log short without holding up commits. A checkpoint within a commit takes as long as writing and syncing
 * the pages of the whole log, and every message waits for it: 12–16 ms at 23,000 messages/s on a small database, more on a large
 * one. So a thread copies most of the log while commits continue. The writer only copies what was added meanwhile, since the log
 * can restart only when it is copied to its end. The thread starts when the log reaches half of the length for a checkpoint: most
 * servers never need it, and starting it is a tenth of their start.
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
   * @param pages length of the log at which checkpoints begin
   * @param onFailure called once if the thread could not start, or ended by itself; from then on, commits do the checkpoints
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
    if (logBytes(this.#path) < (this.#pages / 2) * PAGE_BYTES) return;
    clearInterval(this.#looking);
    try {
      this.#startThread();
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #startThread(): void {
    // Never closed: closing it would drop all of SQLite's locks on the file in this process (POSIX, fcntl(2)).
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

  /** Resolves when the thread has closed its handle, or has failed: the rest of the shutdown must happen either way. */
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
