import { fsyncSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { openForWriting } from '../db/open.ts';
import type { CheckpointJob } from './checkpointer.ts';

/*
 * Copies committed pages from the write-ahead log into the database, on a handle and a thread of its own: commits go on
 * meanwhile. The last few pages are the writer's (checkpointer.ts).
 */

const { path, file, pages, everyMs } = workerData as CheckpointJob;
const db = openForWriting(path);

/** Fewer pages than this are left to the writer: copied and synced in some 2 ms. */
const FEW_PAGES = 500;
/** A writer that is faster than this many passes is asked to finish all the same. */
const PASSES_MAX = 6;

/** Pages of the log that are in the database, and those that are not yet. */
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
    // Each pass copies what was committed during the one before it, which is less and less.
    for (let pass = 0; pass < PASSES_MAX && left > FEW_PAGES; pass++) {
      // Somebody who still reads old pages holds them back, whatever is committed meanwhile: until the next look.
      if (copied('PASSIVE').done === done) return;
      // SQLite does so only after a checkpoint that was complete; the writer's would have it all to do.
      fsyncSync(file);
      ({ done, left } = copied('NOOP'));
    }
    parentPort?.postMessage('copied');
  } catch {
    // A full or failing disk: commits say so. It is tried again.
  }
}, everyMs);

parentPort?.once('message', () => {
  db.close();
  process.exit();
});
