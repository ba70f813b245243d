import type { WorkerProcess } from '../../cluster/worker-process.ts';
import type { WorkerOrder } from '../../config/worker.ts';
import type { Logger } from '../../ops/logger.ts';
import type { ConnectedBus } from '../adapters.ts';

/** What every role's service is created from. */
export type Setup = {
  readonly order: WorkerOrder;
  readonly log: Logger;
  readonly bus: ConnectedBus;
  readonly process: WorkerProcess;
};
