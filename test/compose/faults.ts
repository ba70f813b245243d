import { until } from '../support/wait.ts';
import { docker, type ServiceName, type Stack } from './engine.ts';

/*
 * What befalls containers. Each fault is aimed at one container of a service, lasts a while, and is taken back as an
 * operator, or the engine itself, would.
 */

export type Fault = {
  readonly name: string;
  readonly service: ServiceName;
  readonly holdMs: number;
  inject(id: string): Promise<unknown>;
  heal?(id: string): Promise<unknown>;
};

/** `docker kill` tells the engine that the end is wanted: it starts nothing again by itself. */
const killed = (service: ServiceName, holdMs: number): Fault => ({
  name: 'docker kill',
  service,
  holdMs,
  inject: (id) => docker('kill', id),
  heal: (id) => docker('start', id),
});

/** The process ends as if it had crashed; the restart policy brings the container back. */
const crashed = (service: ServiceName, role: string): Fault => ({
  name: `crash of ${role} in`,
  service,
  holdMs: 0,
  // The end of the container takes the command with it, so how that ended says nothing.
  inject: (id) =>
    docker('exec', id, 'node', '-e', KILL_BY_TITLE, `parley: ${role}`).catch(
      ({ code }: { code?: unknown }) => {
        if (code === NOBODY_HIT) throw new Error(`there is no 'parley: ${role}' in the container`);
      },
    ),
});

const NOBODY_HIT = 3;

const KILL_BY_TITLE = `
const fs = require('node:fs');
let hit = false;
for (const pid of fs.readdirSync('/proc').filter(Number)) {
  let title = '';
  try { title = fs.readFileSync('/proc/' + pid + '/cmdline', 'utf8'); } catch {}
  if (title.startsWith(process.argv[1])) hit = process.kill(Number(pid), 'SIGKILL');
}
if (!hit) process.exit(${NOBODY_HIT});`;

const paused = (service: ServiceName, holdMs: number): Fault => ({
  name: 'docker pause',
  service,
  holdMs,
  inject: (id) => docker('pause', id),
  heal: (id) => docker('unpause', id),
});

/** The cable is pulled: no packet in or out, no FIN, no RST. */
function disconnected(stack: Stack, service: ServiceName, holdMs: number): Fault {
  let networks: string[] = [];
  return {
    name: 'network disconnect',
    service,
    holdMs,
    async inject(id) {
      networks = await stack.networks(id);
      for (const network of networks) await docker('network', 'disconnect', network, id);
    },
    async heal(id) {
      for (const network of networks) await docker('network', 'connect', '--alias', service, network, id);
    },
  };
}

export function allFaults(stack: Stack): Fault[] {
  return [
    killed('gateway', 3_000),
    killed('store', 3_000),
    killed('redis', 3_000),
    killed('lb', 2_000),
    crashed('gateway', 'primary'),
    crashed('gateway', 'gateway'),
    crashed('store', 'primary'),
    crashed('store', 'writer'),
    paused('gateway', 8_000),
    paused('store', 6_000),
    paused('redis', 6_000),
    paused('lb', 4_000),
    disconnected(stack, 'gateway', 8_000),
    disconnected(stack, 'store', 6_000),
    disconnected(stack, 'redis', 6_000),
  ];
}

/** Restarts a service's containers one after the other, each well again before the next goes. */
export async function rollingRestart(stack: Stack, service: ServiceName): Promise<void> {
  for (const id of await stack.containers(service)) {
    await docker('restart', '-t', '20', id);
    await untilHealthy(stack, service);
  }
}

/**
 * Replaces the gateways by new containers, as for a new image: as many again beside them, then the old ones are
 * stopped one by one.
 */
export async function rollingReplacement(stack: Stack): Promise<void> {
  const old = await stack.containers('gateway');
  const scale = (count: number): Promise<string> =>
    stack.compose('up', '-d', '--no-deps', '--no-recreate', '--scale', `gateway=${count}`, 'gateway');
  await scale(old.length * 2);
  await untilHealthy(stack, 'gateway');
  for (const id of old) {
    await docker('stop', '-t', '20', id);
    await docker('rm', id);
  }
  await scale(old.length);
}

export async function untilHealthy(stack: Stack, service: ServiceName, boundMs = 60_000): Promise<void> {
  const healthy = async (): Promise<boolean> => {
    const ids = await stack.containers(service);
    return ids.length > 0 && (await Promise.all(ids.map((id) => stack.isHealthy(id)))).every(Boolean);
  };
  if (!(await until(healthy, boundMs, 300)))
    throw new Error(`${service} is not healthy after ${boundMs / 1000} s`);
}
