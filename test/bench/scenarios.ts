import { setTimeout as sleep } from 'node:timers/promises';
import type { LoadGenerator } from './generator.ts';
import type { Measured } from './loops.ts';
import type { ScenarioName } from './options.ts';
import { pidsWithRole, samplePss, total } from './process-table.ts';
import type { Running } from './running.ts';
import type { Sample } from './sample.ts';
import { PARLEY, SYSTEMS, type System } from './systems.ts';

/*
 * What is done to one freshly started system. A scenario may yield several measurements; each names its own.
 */

export type Measurement = Omit<Sample, 'system' | 'run'>;
export type Bench = { readonly server: Running; readonly load: LoadGenerator; readonly measureMs: number };

export type Scenario = {
  readonly users: number;
  /** Parley's gateways, where the scenario needs more than one. */
  readonly gateways?: number;
  readonly systems: readonly System[];
  readonly large: boolean;
  measure(bench: Bench): Promise<Measurement[]>;
};

const without = (...systems: System[]): System[] => SYSTEMS.filter((system) => !systems.includes(system));

const WARM_MS = 1_000;
const IDLE_SOCKETS = 10_000;
/** Sockets that are open before memory is first looked at: what the first ones cost is the program, not the sockets. */
const FIRST_SOCKETS = 100;
const SETTLE_MS = 3_000;
const STORM_CLIENTS = 10_000;
const STORM_PER_SECOND = 500;
const GROWTH_USERS = [100, 1_000, 10_000] as const;
const GROWTH_PER_SECOND = 2_000;
/** Under the 1,000 frames a second that Parley takes from one socket. */
const BUSY_PER_SECOND = 1_500;
/** Even, since users come in pairs. */
const SLOW_READERS = 2;
/** Two megabytes a second: past every kernel buffer within the measurement. */
const SLOW_PER_SECOND = 300;
const SLOW_MS = 10_000;
const SLOW_BESIDE_PER_SECOND = 500;
const SOAK_MS = 180_000;
const SOAK_SAMPLE_MS = 5_000;

/** Names of scenarios that are looked for elsewhere, by targets and the picture. */
export const NAMES = {
  full: '50 users × 8 in flight',
  many: '500 users × 4 in flight',
  halfLoad: 'half load',
  idle: 'idle sockets',
  storm: 'reconnect storm',
  soak: 'three minutes of saturation',
  growth: (users: number): string => `growth: ${users} users`,
  history: (messages: number): string => `history page of 50 out of ${messages.toLocaleString('en')}`,
} as const;

export const MEASURES: Readonly<Record<Exclude<ScenarioName, 'history'>, Scenario>> = {
  saturation: {
    users: 500,
    systems: SYSTEMS,
    large: false,
    measure: async ({ server, load, measureMs }) => {
      const plan = { warmMs: WARM_MS, measureMs };
      const full = await saturate({ server, load, measureMs });
      const perSecond = full.figures.perSecond! / 2;
      const half = await load.order('open', { ...plan, users: 50, perSecond });
      await connectAll(load, (await server.logins(500)).slice(50));
      return [
        full,
        traffic(NAMES.halfLoad, half),
        accepted('500 users × 1 in flight', await load.order('closed', { ...plan, inFlight: 1 })),
        accepted(NAMES.many, await load.order('closed', { ...plan, inFlight: 4 })),
      ];
    },
  },

  idle: {
    users: IDLE_SOCKETS,
    systems: without('durable-floor'),
    large: true,
    measure: async ({ server, load }) => {
      const logins = await server.logins(IDLE_SOCKETS);
      await connectAll(load, logins.slice(0, FIRST_SOCKETS));
      await sleep(SETTLE_MS);
      const before = total(samplePss(server.roots));
      const { opened, seconds } = await connectAll(load, logins.slice(FIRST_SOCKETS));
      await sleep(SETTLE_MS);
      const after = total(samplePss(server.roots));
      return [
        {
          scenario: NAMES.idle,
          figures: {
            sockets: opened + FIRST_SOCKETS,
            bytesPerSocket: (after - before) / opened,
            memory: after,
            connectsPerSecond: opened / seconds,
          },
        },
      ];
    },
  },

  storm: {
    users: STORM_CLIENTS,
    // As many as the peer has workers: half of the clients lose theirs, and the others go on.
    gateways: 2,
    systems: without('floor', 'durable-floor'),
    large: true,
    measure: async ({ server, load }) => {
      await connectAll(load, await server.logins(STORM_CLIENTS));
      const kill = pidsWithRole(server.roots, server.socketRole).slice(0, 1);
      const result = await load.order('storm', { kill, perSecond: STORM_PER_SECOND });
      const { lost, notBack, hung, allBackSeconds, back, sent, missing, duplicates, unanswered } = result;
      const figures = {
        lost,
        notBack,
        hung,
        allBackSeconds,
        backP50Ms: back.p50,
        sent,
        missing,
        duplicates,
        unanswered,
      };
      return [{ scenario: NAMES.storm, figures }];
    },
  },

  growth: {
    users: Math.max(...GROWTH_USERS),
    systems: without('durable-floor', 'socket-io'),
    large: true,
    measure: async ({ server, load, measureMs }) => {
      const logins = await server.logins(Math.max(...GROWTH_USERS));
      const measurements: Measurement[] = [];
      let connected = 0;
      for (const users of GROWTH_USERS) {
        await connectAll(load, logins.slice(connected, users));
        connected = users;
        const ask = { warmMs: 3 * WARM_MS, measureMs: 2 * measureMs, users, perSecond: GROWTH_PER_SECOND };
        measurements.push(traffic(NAMES.growth(users), await load.order('open', ask)));
      }
      return measurements;
    },
  },

  busy: {
    users: 2,
    systems: without('durable-floor'),
    large: true,
    measure: async ({ server, load, measureMs }) => {
      await connectAll(load, await server.logins(2));
      const ask = { warmMs: WARM_MS, measureMs, users: 2, perSecond: BUSY_PER_SECOND };
      return [traffic('one busy conversation', await load.order('open', ask))];
    },
  },

  'slow-readers': {
    users: 50 + SLOW_READERS,
    systems: without('durable-floor'),
    large: true,
    measure: async ({ server, load }) => {
      await connectAll(load, await server.logins(50 + SLOW_READERS));
      const ask = { warmMs: WARM_MS, measureMs: SLOW_MS, users: 50, perSecond: SLOW_BESIDE_PER_SECOND };
      // The same traffic twice: first everybody reads, so that the difference is the reading and nothing else.
      const long = { perSecond: SLOW_PER_SECOND, read: true };
      const before = await load.order('open', { ...ask, long });
      const memoryBefore = total(samplePss(server.roots));
      const beside = await load.order('open', { ...ask, long: { ...long, read: false } });
      const memoryAfter = total(samplePss(server.roots));
      const { figures, ...rest } = traffic('slow readers', beside);
      const more = { p99MsReading: before.delivery.p99, memoryGrowth: memoryAfter - memoryBefore };
      return [{ ...rest, figures: { ...figures, ...more } }];
    },
  },

  soak: {
    // Not 50: each would send more than the 1,000 frames a second that Parley takes from one socket for long.
    users: 500,
    systems: PARLEY,
    large: true,
    measure: async ({ server, load }) => {
      await connectAll(load, await server.logins(500));
      const memory: number[] = [];
      const sampling = setInterval(() => memory.push(total(samplePss(server.roots))), SOAK_SAMPLE_MS);
      const ask = { warmMs: WARM_MS, measureMs: SOAK_MS, inFlight: 4 };
      const measured = await load
        .order('closed', ask, SOAK_MS + 60_000)
        .finally(() => clearInterval(sampling));
      const lastMinute = memory.slice(-60_000 / SOAK_SAMPLE_MS);
      const { figures, ...rest } = accepted(NAMES.soak, measured);
      return [{ ...rest, figures: { ...figures, memory: memory.at(-1) ?? 0, memoryRise: rise(lastMinute) } }];
    },
  },
};

/** 50 users with 8 messages in flight each; they stay connected. */
export async function saturate({ server, load, measureMs }: Bench): Promise<Measurement> {
  await connectAll(load, await server.logins(50));
  return accepted(NAMES.full, await load.order('closed', { warmMs: WARM_MS, measureMs, inFlight: 8 }));
}

async function connectAll(load: LoadGenerator, logins: Awaited<ReturnType<Running['logins']>>) {
  const connected = await load.order('connect', { logins });
  if (connected.failed > 0) {
    throw new Error(
      `${connected.failed} of ${logins.length} sockets were refused: ${JSON.stringify(connected.refused)}`,
    );
  }
  return connected;
}

/** As `traffic`, of a closed loop: one that was refused sends on no more, and the rest would be taken for the whole. */
function accepted(scenario: string, measured: Measured): Measurement {
  if (Object.keys(measured.refused).length > 0) {
    throw new Error(`${scenario}: sends were refused (${JSON.stringify(measured.refused)})`);
  }
  return traffic(scenario, measured);
}

const throughput = (measured: Measured): number => measured.delivered / measured.seconds;

function traffic(scenario: string, measured: Measured): Measurement {
  if (measured.delivered === 0) {
    throw new Error(`${scenario}: nothing was delivered (${JSON.stringify(measured.refused)})`);
  }
  const perMessage = (us: number): number => us / measured.delivered;
  const cpuByRole = Object.fromEntries(
    Object.entries(measured.cpuUs).map(([role, us]) => [role, perMessage(us)]),
  );
  const { refused, unfinished, duplicates } = measured;
  return {
    scenario,
    figures: {
      perSecond: throughput(measured),
      cpuUsPerMessage: perMessage(total(measured.cpuUs)),
      p50Ms: measured.delivery.p50,
      p99Ms: measured.delivery.p99,
      p999Ms: measured.delivery.p999,
      echoP99Ms: measured.echo.p99,
      generatorLoad: measured.generatorLoad,
    },
    cpuByRole,
    remarks: nonZero({ ...refused, unfinished, duplicates }),
  };
}

const nonZero = (counts: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));

/** Slope of the straight line through the values, over their whole length, as a share of their mean. */
function rise(values: readonly number[]): number {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const middle = (n - 1) / 2;
  let covariance = 0;
  let variance = 0;
  values.forEach((value, at) => {
    covariance += (at - middle) * (value - mean);
    variance += (at - middle) ** 2;
  });
  return (covariance / variance / mean) * (n - 1);
}
