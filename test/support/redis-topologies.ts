import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import slotOf from 'cluster-key-slot';
import type { RedisOptions } from 'ioredis';
import { freePort } from './ports.ts';
import { RedisServer } from './redis-server.ts';
import { ROOT } from './root.ts';
import { waitFor } from './wait.ts';

/*
 * Redis in each form that REDIS_URL knows, of real servers on loopback.
 */

export type RedisTopology = {
  readonly url: string;
  /** With TLS, the file that NODE_EXTRA_CA_CERTS is to name. */
  readonly ca?: string;
  /** The servers that hold data, whatever they are at the moment. */
  readonly servers: readonly RedisServer[];
  /** Those that take writes now. */
  masters(): Promise<RedisServer[]>;
  /** The master that has a key or a channel now. */
  masterOf(key: string): Promise<RedisServer>;
  /** Makes a replica the master in an orderly way; absent where there are no replicas. */
  failOver?(): Promise<void>;
  stop(): Promise<void>;
};

export type TopologyOptions = {
  directory: string;
  /** Where the servers' logs go. */
  logs?: string;
  /** Puts something in front of a server's port; answers the port that clients and other servers are to use. */
  front?: (port: number) => Promise<number>;
  /** Only TLS gets in, from clients and other servers. */
  tls?: boolean;
  /** A cluster is for a user of the access list, who may do what README lists. */
  listed?: boolean;
  /** Nothing takes a master's place but what is told to. */
  steady?: boolean;
};

const PASSWORD = 'a pass/word@with:all?of#it%';
const MASTER = 'parley';
/** A server that does not answer for this long is replaced. Small, as tests want; Sentinel's own default is 30 s. */
const DOWN_AFTER_MS = 1_000;
/** Where a busy machine must not be taken for a dead server. */
const STEADY_MS = 600_000;
/** Replicas get the data at once; by default a master waits 5 s for more of them. */
const FULL_SYNC_AT_ONCE = ['repl-diskless-sync-delay 0'] as const;

function server(
  { directory, logs }: TopologyOptions,
  name: string,
  port: number,
  more: { config?: readonly string[]; login?: RedisOptions; sentinel?: boolean } = {},
): RedisServer {
  const logFile = logs === undefined ? undefined : join(logs, `${name}.log`);
  return new RedisServer({ port, directory: join(directory, name), ...more, ...(logFile && { logFile }) });
}

const freePorts = (count: number): Promise<number[]> =>
  Promise.all(Array.from({ length: count }, () => freePort()));

const topology = (
  url: string,
  servers: readonly RedisServer[],
  others: readonly RedisServer[],
  masterOf: (masters: RedisServer[], key: string) => Promise<RedisServer>,
): RedisTopology => {
  const masters = async (): Promise<RedisServer[]> => {
    const up = servers.filter(({ isUp }) => isUp);
    const roles = await Promise.all(up.map((it) => it.info('role').catch(() => undefined)));
    return up.filter((_, i) => roles[i] === 'master');
  };
  return {
    url,
    servers,
    masters,
    masterOf: async (key) => masterOf(await masters(), key),
    stop: async () => {
      await Promise.all([...servers, ...others].map((it) => it.kill()));
    },
  };
};

const theOnly = async (masters: RedisServer[]): Promise<RedisServer> => {
  if (masters[0] === undefined) throw new Error('there is no master');
  return masters[0];
};

export async function startSingle(options: TopologyOptions): Promise<RedisTopology> {
  const port = await freePort();
  const redis = server(options, 'redis', port, { config: FULL_SYNC_AT_ONCE });
  await redis.start();
  const front = (await options.front?.(port)) ?? port;
  return topology(`redis://127.0.0.1:${front}`, [redis], [], theOnly);
}

/** The access list with a user who may do what README lists, and one for the tests, who may do everything. */
function listedUsers(form: 'single' | 'cluster'): { config: string[]; login: RedisOptions; inUrl: string } {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const [, list] = /^```text\n(\+info [^`]*)\n```/m.exec(readme) ?? [];
  const [, inCluster] = /In Redis Cluster, `(\+[^`]*)` as well/.exec(readme) ?? [];
  if (list === undefined || inCluster === undefined)
    throw new Error('README.md has no list of the commands that Redis must permit');
  const commands = [...list.split('\n'), ...(form === 'cluster' ? [inCluster] : [])].join(' ');
  return {
    config: [
      'user default off',
      `user parley on ">${PASSWORD}" ~parley:* ~{parley:* &parley:* ${commands}`,
      'user tests on nopass ~* &* +@all',
    ],
    login: { username: 'tests', password: 'any' },
    inUrl: `parley:${encodeURIComponent(PASSWORD)}@`,
  };
}

/** A user of the access list, who may do what README lists, with a password, over TLS. */
export async function startSecured(options: TopologyOptions): Promise<RedisTopology> {
  const port = await freePort();
  const tls = secure({ ...options, tls: true });
  const users = listedUsers('single');
  const redis = server(options, 'redis', port, {
    config: [...tls.config(port), ...users.config],
    login: { ...tls.login, ...users.login },
  });
  await redis.start();
  const front = (await options.front?.(port)) ?? port;
  const url = `rediss://${users.inUrl}localhost:${front}`;
  return { ...topology(url, [redis], [], theOnly), ...tls.trust };
}

type Security = {
  readonly scheme: 'redis' | 'rediss';
  config(port: number): string[];
  readonly login: RedisOptions;
  readonly trust: { readonly ca?: string };
};

/** What a server is told for TLS, and how tests and clients get in. */
function secure({ directory, tls = false }: TopologyOptions): Security {
  if (!tls) return { scheme: 'redis', config: (port) => [`port ${port}`], login: {}, trust: {} };
  const { ca, cert, key } = makeCertificates(join(directory, 'tls'));
  const config = (port: number): string[] => [
    'port 0',
    `tls-port ${port}`,
    `tls-cert-file ${cert}`,
    `tls-key-file ${key}`,
    `tls-ca-cert-file ${ca}`,
    'tls-auth-clients no',
    'tls-replication yes',
  ];
  // Whoever looks after a server in a test is let in without checking who that is.
  return { scheme: 'rediss', config, login: { tls: { rejectUnauthorized: false } }, trust: { ca } };
}

/** A certificate for localhost, and the authority that signed it; made anew each time. */
function makeCertificates(directory: string): { ca: string; cert: string; key: string } {
  mkdirSync(directory, { recursive: true });
  const openssl = (line: string): void => {
    execFileSync('openssl', line.split(' '), { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
  };
  const newKey = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';
  openssl(`req -x509 ${newKey} -keyout ca.key -out ca.crt -days 2 -subj /CN=test-authority`);
  openssl(`req ${newKey} -keyout redis.key -out redis.csr -subj /CN=localhost`);
  writeFileSync(join(directory, 'names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  const signed = '-CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names';
  openssl(`x509 -req -in redis.csr -out redis.crt ${signed}`);
  return {
    ca: join(directory, 'ca.crt'),
    cert: join(directory, 'redis.crt'),
    key: join(directory, 'redis.key'),
  };
}

/** A master, a replica and three Sentinels, all with passwords. */
export async function startSentinel(options: TopologyOptions): Promise<RedisTopology> {
  const [one = 0, two = 0, ...sentinelPorts] = await freePorts(5);
  const front = options.front ?? (async (port: number) => port);
  const [oneFront, twoFront] = [await front(one), await front(two)];
  const secret = JSON.stringify(PASSWORD);
  const tls = secure(options);
  const config = (port: number, announced: number): string[] => [
    ...tls.config(port),
    `requirepass ${secret}`,
    `masterauth ${secret}`,
    ...FULL_SYNC_AT_ONCE,
    'replica-announce-ip 127.0.0.1',
    `replica-announce-port ${announced}`,
  ];
  const login = { ...tls.login, password: PASSWORD };
  const servers = [
    server(options, 'redis-1', one, { config: config(one, oneFront), login }),
    server(options, 'redis-2', two, {
      config: [...config(two, twoFront), `replicaof 127.0.0.1 ${oneFront}`],
      login,
    }),
  ];
  for (const it of servers) await it.start();
  await waitFor(
    async () => (await servers[1]?.info('master_link_status')) === 'up',
    10_000,
    () => 'the replica never caught up',
  );
  const sentinels = sentinelPorts.map((port, i) =>
    server(options, `sentinel-${i + 1}`, port, {
      sentinel: true,
      config: [
        ...tls.config(port),
        'requirepass sentinel-secret',
        'sentinel sentinel-pass sentinel-secret',
        `sentinel monitor ${MASTER} 127.0.0.1 ${oneFront} 2`,
        `sentinel auth-pass ${MASTER} ${secret}`,
        `sentinel down-after-milliseconds ${MASTER} ${options.steady ? STEADY_MS : DOWN_AFTER_MS}`,
        `sentinel failover-timeout ${MASTER} 4000`,
      ],
      login: { ...tls.login, password: 'sentinel-secret' },
    }),
  );
  for (const it of sentinels) await it.start();
  await waitFor(
    async () => {
      const known = await Promise.all(
        sentinels.map(async (it) => fieldsOf(await it.command('SENTINEL', 'MASTER', MASTER))),
      );
      return known.every((it) => it['num-other-sentinels'] === '2' && it['num-slaves'] === '1');
    },
    15_000,
    () => 'the Sentinels never found each other',
  );
  const addresses = sentinelPorts.map((port) => `127.0.0.1:${port}`).join(',');
  const url = `${tls.scheme}+sentinel://:${encodeURIComponent(PASSWORD)}@${addresses}/${MASTER}?sentinel_password=sentinel-secret`;
  const ask = (...args: string[]): Promise<unknown> =>
    (sentinels[0] as RedisServer).command('SENTINEL', ...args);
  const masterOf = async (): Promise<RedisServer> => {
    const [, port] = (await ask('GET-MASTER-ADDR-BY-NAME', MASTER)) as string[];
    return servers[Number(port) === oneFront ? 0 : 1] as RedisServer;
  };
  return {
    ...topology(url, servers, sentinels, masterOf),
    ...tls.trust,
    // One that comes back takes itself for the master until a Sentinel tells it otherwise.
    masters: async () => [await masterOf()].filter(({ isUp }) => isUp),
    failOver: async () => void (await ask('FAILOVER', MASTER)),
  };
}

const fieldsOf = (answer: unknown): Record<string, string> => {
  const list = answer as string[];
  return Object.fromEntries(list.flatMap((name, i) => (i % 2 === 0 ? [[name, `${list[i + 1]}`]] : [])));
};

/** Three masters, each with so many replicas. */
export async function startCluster(options: TopologyOptions, replicas = 0): Promise<RedisTopology> {
  const count = 3 * (1 + replicas);
  const ports = await freePorts(2 * count);
  const front = options.front ?? (async (port: number) => port);
  const tls = secure(options);
  const users = options.listed ? listedUsers('cluster') : { config: [], login: {}, inUrl: '' };
  const login = { ...tls.login, ...users.login };
  const members = await Promise.all(
    ports.slice(0, count).map(async (port, i) => {
      const bus = ports[count + i] as number;
      const announced = await front(port);
      const config = [
        ...tls.config(port),
        ...users.config,
        ...(options.tls ? ['tls-cluster yes'] : []),
        'cluster-enabled yes',
        `cluster-port ${bus}`,
        `cluster-node-timeout ${options.steady ? STEADY_MS : DOWN_AFTER_MS}`,
        'cluster-allow-replica-migration no',
        'cluster-announce-ip 127.0.0.1',
        `cluster-announce-${options.tls ? 'tls-port' : 'port'} ${announced}`,
        `cluster-announce-bus-port ${bus}`,
        ...FULL_SYNC_AT_ONCE,
      ];
      return { bus, announced, redis: server(options, `redis-${i + 1}`, port, { config, login }) };
    }),
  );
  const servers = members.map(({ redis }) => redis);
  await Promise.all(servers.map((it) => it.start()));
  const [first, ...others] = members;
  for (const [i, it] of servers.entries()) {
    await it.command('CLUSTER', 'SET-CONFIG-EPOCH', `${i + 1}`);
    if (i > 2) continue;
    const end = i === 2 ? 16_383 : (i + 1) * 5_461 - 1;
    await it.command('CLUSTER', 'ADDSLOTSRANGE', `${i * 5_461}`, `${end}`);
  }
  for (const { redis, bus } of others)
    await first?.redis.command('CLUSTER', 'MEET', '127.0.0.1', `${redis.port}`, `${bus}`);
  await untilCluster(
    servers,
    (nodes) => nodes.length === count && nodes.every((line) => !/handshake/.test(line)),
  );
  const ids = await Promise.all(servers.map((it) => it.command('CLUSTER', 'MYID')));
  for (const [i, it] of servers.entries()) {
    if (i > 2) await it.command('CLUSTER', 'REPLICATE', `${ids[i % 3]}`);
  }
  await untilCluster(
    servers,
    (nodes) => nodes.filter((line) => / (myself,)?slave /.test(line)).length === count - 3,
  );
  await waitFor(
    async () => {
      const states = await Promise.all(servers.map((it) => it.command('CLUSTER', 'INFO')));
      const links = await Promise.all(servers.slice(3).map((it) => it.info('master_link_status')));
      return (
        states.every((state) => /cluster_state:ok/.test(`${state}`)) && links.every((link) => link === 'up')
      );
    },
    15_000,
    () => 'the cluster was never well',
  );
  const url = `${tls.scheme}+cluster://${users.inUrl}${members.map(({ announced }) => `127.0.0.1:${announced}`).join(',')}`;
  const masterOf = async (masters: RedisServer[], key: string): Promise<RedisServer> => {
    const ranges = (await masters[0]?.command('CLUSTER', 'SLOTS')) as [number, number, [string, number]][];
    const port = ranges.find(([from, to]) => from <= slotOf(key) && slotOf(key) <= to)?.[2][1];
    const found = members.find(({ announced }) => announced === port);
    if (found === undefined) throw new Error(`no master has ${key}`);
    return found.redis;
  };
  const cluster = { ...topology(url, servers, [], masterOf), ...tls.trust };
  if (replicas === 0) return cluster;
  const failOver = async (): Promise<void> => {
    const masters = await cluster.masters();
    const replica = servers.find((it) => it.isUp && !masters.includes(it));
    await replica?.command('CLUSTER', 'FAILOVER');
  };
  return { ...cluster, failOver };
}

async function untilCluster(
  servers: readonly RedisServer[],
  is: (nodes: readonly string[]) => boolean,
): Promise<void> {
  await waitFor(
    async () => {
      const views = await Promise.all(servers.map((it) => it.command('CLUSTER', 'NODES')));
      return views.every((view) => is(`${view}`.trim().split('\n')));
    },
    15_000,
    () => 'the nodes of the cluster never agreed',
  );
}

export type RedisForm = {
  readonly name: string;
  start(options: TopologyOptions): Promise<RedisTopology>;
};

export const SINGLE_FORMS: readonly RedisForm[] = [
  { name: 'Redis', start: startSingle },
  { name: 'Redis with a user and TLS', start: startSecured },
];
export const REPLICATED_FORMS: readonly RedisForm[] = [
  { name: 'Redis Sentinel', start: (options) => startSentinel({ ...options, steady: true }) },
  { name: 'Redis Cluster', start: (options) => startCluster({ ...options, listed: true, steady: true }) },
];
/** Every form that the adapters are tested against; here no server is replaced. */
export const REDIS_FORMS = [...SINGLE_FORMS, ...REPLICATED_FORMS];
