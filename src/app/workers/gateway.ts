import { randomUUID } from 'node:crypto';
import { LoginLimits } from '../../auth/login-limits.ts';
import { systemClock } from '../../base/clock.ts';
import type { Service } from '../../base/life-cycle.ts';
import { openFilesMax } from '../../base/open-files.ts';
import { kernelBalances } from '../../cluster/listen-address.ts';
import { Gateway } from '../../gateway/gateway.ts';
import { gatewayDrain } from '../drain-times.ts';
import type { Setup } from './setup.ts';

/**
 * Files that a gateway may always open for itself: its own need some 30. Clients could otherwise take what a lost connection to
 * Redis leaves, and it could not be made again.
 */
const OWN_FILES = 64;

/** Serves clients: HTTP and sockets. */
export function gatewayService({ order, log, bus, process: self }: Setup): Service {
  const { config, node, name } = order;
  // The node's own counter serves without Redis, and while that is unavailable.
  const attempts = [...(bus.attempts ? [bus.attempts] : []), self.attempts];
  const gateway = new Gateway({
    settings: {
      ...config.http,
      sharePort: kernelBalances,
      // A primary that distributes connections would hand one that is refused to the next worker, and so on without end.
      connectionsMax: kernelBalances ? Math.max(1, openFilesMax() - OWN_FILES) : Number.POSITIVE_INFINITY,
      auth: config.auth,
      passwordMinLength: config.passwordMinLength,
      rateLimits: config.rateLimits,
      drain: gatewayDrain(config.shutdownTimeoutMs, config.bus.kind === 'redis'),
    },
    bus: bus.bus,
    limits: new LoginLimits(config.rateLimits ? attempts : undefined, systemClock),
    clock: systemClock,
    instance: `${node}/${name.replace(' ', '-')}/${randomUUID().slice(0, 8)}`,
    name: `${node}/${name.replace('gateway ', '')}`,
    log,
  });
  self.report(gateway.metrics, () => ({ redis: bus.trouble, failing: gateway.failing }));
  self.onTrouble((trouble) => {
    gateway.nodeTrouble = trouble;
  });
  return {
    async start() {
      await gateway.start();
      self.ready(gateway.address);
    },
    stop: () => gateway.stop(),
  };
}
