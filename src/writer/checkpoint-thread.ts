import { fsyncSync } from 'node:fs';
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { openForWriting } from '../db/open.ts';
import type { CheckpointJob } from './checkpointer.ts';

/*
 * Copies committed pages from the write-ahead log into the database, on its own thread and handle, so that commits continue
 * meanwhile. The last few pages are left to the writer (checkpointer.ts).
 */

const { path, file, pages, everyMs } = workerData as CheckpointJob;
const db = openForWriting(path);

/** Fewer pages than this are left to the writer, which copies and syncs them in some 2 ms. */
const FEW_PAGES = 500;
/** After this many passes, the writer is asked to finish even if it commits faster than they copy. */
const PASSES_MAX = 6;

/**
 * Of this thread, on Linux; elsewhere, the call would apply to the process. Where every core is busy, commits and deliveries go
 * first. At 10, it still gets a tenth of a core: at 19, the log might grow faster than it is copied.
 */
const NICE = 10;
if (process.platform === 'linux') setPriority(NICE);

/** Pages of the log that are already in the database, and those that are not. */
function copied(mode: 'NOOP' | 'PASSIVE'): { done: number; left: number } {
  const [{ log, checkpointed }] = db.pragma(`wal_checkpoint(${mode})`) as [
    { log: number; checkpointed: number },
  ];
  return { done: checkpointed, left: log - checkpointed };
}

setInterval(() => {
  try {
    let { done, left } = copied('NOOP');
    if (left < pages) return;
    // Each pass copies what was committed during the previous one, which is less each time.
    for (let pass = 0; pass < PASSES_MAX && left > FEW_PAGES; pass++) {
      // Nothing was copied: a reader still uses old pages. Wait for the next look.
      if (copied('PASSIVE').done === done) return;
      // SQLite only syncs after a complete checkpoint. Without this, the writer's checkpoint would have to sync everything.
      fsyncSync(file);
      ({ done, left } = copied('NOOP'));
    }
    parentPort?.postMessage('copied');
  } catch {
    // The disk is full or failing, which commits report. The next look tries again.
  }
}, everyMs);

parentPort?.once('message', () => {
  db.close();
  process.exit();
});
