import type { Launch } from '../cluster/supervisor.ts';
import { COMPILE_CACHE } from '../config/runtime.ts';
import { type WorkerOrder, type WorkerRole, workerEnvironment } from '../config/worker.ts';

/**
 * V8's young space in each role, in MB. There are many gateways, with idle sockets. Measured with 6,000 of them: 7.5 KB each over
 * all processes at 8 MB, and 15.5 at V8's own 16. A storm of connects makes each gateway grow to the maximum, and none gives it
 * back. At 4 MB, collecting took a tenth of a busy gateway's time. A reader collects for 3 ms while it pages through gigabytes:
 * at 8 MB that hit every ninetieth page, and so the 99th percentile. The primary's flags are where it is started (package.json,
 * Dockerfile): it relays buffers and allocates little else. At 16 MB the buffers reached V8's limit on outside memory before the
 * young space was full, which set off full collections, three a second.
 */
const YOUNG_SPACE_MB: Readonly<Record<WorkerRole, number>> = { gateway: 8, reader: 32, writer: 8 };

/**
 * Flags of one role only. From what it sees in a burst, V8 concludes that the objects of a message live long, and allocates them in
 * the old space from then on. Measured at half load on 2 cores: a gateway had a full collection every 1.4 s, and so did a writer,
 * each up to 14 ms at once and some 30 in steps, and scavenges took up to twice as long, as dead objects there keep young ones
 * alive. Without that, each has one in six seconds or more.
 */
const FLAGS: Readonly<Record<WorkerRole, readonly string[]>> = {
  gateway: ['--no-allocation-site-pretenuring'],
  reader: [],
  writer: ['--no-allocation-site-pretenuring'],
};

/** What a worker's process is started with. */
export function launchOf(order: WorkerOrder): Launch {
  return {
    env: {
      ...workerEnvironment(order),
      // Set from the start, so that the worker need not load the code that strips types.
      NODE_COMPILE_CACHE: COMPILE_CACHE,
    },
    execArgv: [
      ...process.execArgv,
      `--max-semi-space-size=${YOUNG_SPACE_MB[order.role]}`,
      // If every core has its worker, threads that mark garbage take cores from those that answer. Measured at half load on 2
      // cores: p99 fell from 20 to 11 ms, and a worker's scavenges took half as long.
      '--single-threaded-gc',
      ...FLAGS[order.role],
    ],
  };
}
