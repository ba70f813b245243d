import type { Launch } from '../cluster/supervisor.ts';
import { COMPILE_CACHE } from '../config/runtime.ts';
import { type WorkerOrder, type WorkerRole, workerEnvironment } from '../config/worker.ts';

/**
 * V8's young space in each role, in MB. Of gateways there are many, with sockets that idle: measured with 6,000 of them, 7.5 KB each
 * over all processes at 8 MB, 15.5 at V8's own 16, which a storm of connects makes each gateway grow to, and none gives
 * back; at 4 MB, collecting took a tenth of a busy gateway's time. A reader collects for 3 ms while it pages through gigabytes: at
 * 8 MB that was each ninetieth page, the 99th percentile. The primary's flags stand where it is started (package.json,
 * Dockerfile): it relays buffers and makes little else, and at 16 MB the buffers reached V8's limit on outside memory before
 * the young space was full, which set off full collections, three a second.
 */
const YOUNG_SPACE_MB: Readonly<Record<WorkerRole, number>> = { gateway: 8, reader: 32, writer: 8 };

/** What a worker's process is started with. */
export function launchOf(order: WorkerOrder): Launch {
  return {
    env: {
      ...workerEnvironment(order),
      // From its first file on, so that it need not load what strips types.
      NODE_COMPILE_CACHE: COMPILE_CACHE,
    },
    execArgv: [
      ...process.execArgv,
      `--max-semi-space-size=${YOUNG_SPACE_MB[order.role]}`,
      // Where every core has its worker, threads that mark garbage take the cores from those who answer: measured at half
      // load on 2 cores, p99 fell from 20 to 11 ms, and a worker's scavenges took half as long.
      '--single-threaded-gc',
    ],
  };
}
