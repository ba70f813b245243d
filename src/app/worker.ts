import type { Service } from '../base/life-cycle.ts';
import { WorkerProcess } from '../cluster/worker-process.ts';
import { readWorkerOrder, type WorkerRole } from '../config/worker.ts';
import { createLogger } from '../ops/logger.ts';
import { type ConnectedBus, connectBus } from './adapters.ts';
import { startFailure } from './fail.ts';
import { PROGRAM_VERSION } from './program-version.ts';
import type { Setup } from './workers/setup.ts';

/** A worker loads its own role only. Measured: a reader or a writer loads in a third of the time that all roles take. */
const SERVICES = {
  gateway: async () => (await import('./workers/gateway.ts')).gatewayService,
  reader: async () => (await import('./workers/reader.ts')).readerService,
  writer: async () => (await import('./workers/writer.ts')).writerService,
} satisfies Record<WorkerRole, () => Promise<(setup: Setup) => Service | Promise<Service>>>;

/** Runs a forked worker in the role its primary gave it. */
export async function startWorker(environment: NodeJS.ProcessEnv): Promise<void> {
  const order = readWorkerOrder(environment);
  const { config, role, name, node, version } = order;
  process.title = `parley: ${name}`;
  const log = createLogger(config.logLevel, { node, worker: name });
  // The files were replaced under a running node. The two may understand each other or not.
  if (version !== PROGRAM_VERSION)
    log.error(
      { event: 'other_version', version: PROGRAM_VERSION, primary: version },
      `this worker is of Parley ${PROGRAM_VERSION}, and its node of ${version}: the program's files were changed while the node ran, so restart it`,
    );
  let service: Service | undefined;
  let bus: ConnectedBus | undefined;
  const self = new WorkerProcess(log, async () => {
    await service?.stop();
    await bus?.close();
  });
  try {
    bus = await connectBus(config, name, role, self, log);
    const createService = await SERVICES[role]();
    service = await createService({ order, log, bus, process: self });
    await service.start();
  } catch (error) {
    self.fail(startFailure(error, config.http));
  }
}
