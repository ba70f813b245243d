import { randomUUID } from 'node:crypto';
import { LoginLimits } from '../auth/login-limits.ts';
import { systemClock } from '../base/clock.ts';
import type { Service } from '../base/life-cycle.ts';
import { answerQuery } from '../bus/query-client.ts';
import { kernelBalances } from '../cluster/listen-address.ts';
import { WorkerProcess } from '../cluster/worker-process.ts';
import { type Config, readConfig } from '../config/config.ts';
import { readWorkerIdentity, type WorkerIdentity } from '../config/worker.ts';
import { openForReading, reason } from '../db/open.ts';
import { Gateway } from '../gateway/gateway.ts';
import { createLogger, type Logger } from '../ops/logger.ts';
import { ReaderMetrics } from '../ops/metrics.ts';
import { Reader } from '../reader/reader.ts';
import { type ConnectedBus, connectBus } from './adapters.ts';
import { startFailure } from './fail.ts';
import { StoreWriter } from './store-writer.ts';

/** `/readyz` says no for this long before a drain goes on, where a load balancer may be watching, in milliseconds. */
const DRAIN_NOTICE_MS = 1_500;

type Setup = {
  readonly config: Config;
  readonly identity: WorkerIdentity;
  readonly log: Logger;
  readonly bus: ConnectedBus;
  readonly process: WorkerProcess;
};

/** Runs a forked worker in the role its primary gave it. */
export async function startWorker(environment: Readonly<Record<string, string | undefined>>): Promise<void> {
  const config = readConfig(environment);
  const identity = readWorkerIdentity(environment);
  const { role, name, node } = identity;
  process.title = `parley: ${name}`;
  const log = createLogger(config.logLevel, { node, worker: name });
  let service: Service | undefined;
  const self = new WorkerProcess(log, async () => {
    await service?.stop();
    await bus.close();
  });
  const bus = connectBus(config, name, self.bus);
  const setup: Setup = { config, identity, log, bus, process: self };
  try {
    service = role === 'gateway' ? gateway(setup) : role === 'reader' ? reader(setup) : writer(setup);
    await service.start();
  } catch (error) {
    self.fail(startFailure(error, config.http));
  }
}

function gateway({ config, identity, log, bus, process: self }: Setup): Service {
  const service = new Gateway({
    settings: {
      ...config.http,
      sharePort: kernelBalances,
      auth: config.auth,
      passwordMinLength: config.passwordMinLength,
      rateLimits: config.rateLimits,
      shutdownTimeoutMs: config.shutdownTimeoutMs,
      drainNoticeMs: config.bus.kind === 'redis' ? DRAIN_NOTICE_MS : 0,
    },
    bus: bus.bus,
    limits: new LoginLimits(config.rateLimits ? bus.limitsStore : undefined),
    clock: systemClock,
    instance: `${identity.node}/${identity.name.replace(' ', '-')}/${randomUUID().slice(0, 8)}`,
    name: `${identity.node}/${identity.name.replace('gateway ', '')}`,
    log,
  });
  self.report(service.metrics);
  self.onTrouble((trouble) => {
    service.nodeTrouble = trouble;
  });
  return {
    name: 'gateway',
    async start() {
      await service.start();
      self.ready(service.address);
    },
    stop: () => service.stop(),
  };
}

function reader({ config, log, bus, process: self }: Setup): Service {
  const db = openForReading(config.database.path);
  const handlers = new Reader(db);
  const metrics = new ReaderMetrics();
  self.report(metrics);
  return {
    name: 'reader',
    async start() {
      await bus.bus.serve((payload) => {
        const measured = metrics.time.startTimer();
        const answer = answerQuery(handlers, payload, (query, err) => {
          log.error({ err, query }, 'query failed');
          return reason(err);
        });
        measured();
        metrics.queries.inc();
        return answer;
      });
      self.ready();
    },
    async stop() {
      // No query must find the database closed.
      await bus.close();
      db.close();
    },
  };
}

function writer({ config, identity, log, bus, process: self }: Setup): Service {
  const leaser = bus.leaser(config.database.path, identity.node);
  const store = new StoreWriter(config.database.path, bus.bus, leaser, bus.lock(config.database.path), log, {
    status: (status) => self.writer(status),
    leading: () => self.ready(),
    lost: (why) => self.exit(why),
  });
  self.report(store.metrics);
  self.onBackup((file) => store.backUp(file));
  return store;
}
