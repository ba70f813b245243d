import { randomUUID } from 'node:crypto';
import { LoginLimits } from '../../auth/login-limits.ts';
import { systemClock } from '../../base/clock.ts';
import type { Service } from '../../base/life-cycle.ts';
import { kernelBalances } from '../../cluster/listen-address.ts';
import { Gateway } from '../../gateway/gateway.ts';
import type { Setup } from './setup.ts';

/** `/readyz` says no for this long before a drain goes on, where a load balancer may be watching, in milliseconds. */
const DRAIN_NOTICE_MS = 1_500;

/** Serves clients: HTTP and sockets. */
export function gatewayService({ order, log, bus, process: self }: Setup): Service {
  const { config, node, name } = order;
  const gateway = new Gateway({
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
    instance: `${node}/${name.replace(' ', '-')}/${randomUUID().slice(0, 8)}`,
    name: `${node}/${name.replace('gateway ', '')}`,
    log,
  });
  self.report(gateway.metrics);
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
