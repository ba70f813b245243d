import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chunks } from '../../src/base/chunks.ts';
import { freePort } from '../support/ports.ts';
import type { RedisServer } from '../support/redis-server.ts';
import { type RedisTopology, startCluster, startSentinel, startSingle } from '../support/redis-topologies.ts';
import type { AffectedPath } from './fault-kind.ts';
import type { Account } from './load.ts';
import { ParleyNode } from './node.ts';
import { Relay } from './relay.ts';
import { Volume } from './volume.ts';

/** Registrations at once. */
const ACCOUNTS_AT_ONCE = 10;

export type ClusterOptions = {
  embedded: boolean;
  /** What Redis is like; single by default. */
  redis?: RedisForm;
  /** How many nodes; one when embedded. */
  nodes: number;
  /** Every node may hold the writer, all on the one database file; otherwise the first alone. */
  standby: boolean;
  /** Gateways of each node. */
  gateways: number;
  /** The checkout under test. */
  root: string;
  /** Where the processes' logs go. */
  artefacts: string;
  /** Put the database on a small file system in memory, which can be filled. */
  smallDisk: boolean;
};

/** One server; a master and a replica with three Sentinels; three masters and three replicas. */
export type RedisForm = 'single' | 'sentinel' | 'cluster';

/** A way to Redis that can go silent: a node's, or the way of everybody to one server. */
export type RedisLink = { readonly name: string; readonly relay: Relay; readonly path: AffectedPath };

const VOLUME_MB = 384;
const CENSUS_EVERY_MS = 500;
const START_MS = 60_000;

/** The system under test, as it runs in earnest: real processes, a real Redis, each node with its own way to Redis. */
export class Cluster {
  readonly nodes: ParleyNode[] = [];
  readonly links: RedisLink[] = [];
  readonly #options: ClusterOptions;
  readonly #directory: string;
  #redis: RedisTopology | undefined;
  #masters: readonly RedisServer[] = [];
  #census: NodeJS.Timeout | undefined;
  #volume: Volume | undefined;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#directory = mkdtempSync(join(tmpdir(), 'parley-faults-'));
  }

  get databasePath(): string {
    return join(this.#directory, 'data', 'chat.db');
  }
  get redis(): RedisTopology {
    if (this.#redis === undefined) throw new Error('the embedded cluster has no Redis');
    return this.#redis;
  }
  /** The servers that were masters a moment ago. */
  get redisMasters(): readonly RedisServer[] {
    return this.#masters;
  }
  get volume(): Volume {
    if (this.#volume === undefined) throw new Error('the database is not on a small disk');
    return this.#volume;
  }
  get ports(): ReadonlyMap<number, number> {
    return new Map(this.nodes.map((node) => [node.number, node.port]));
  }

  async start(): Promise<void> {
    const { embedded, nodes, standby, artefacts, smallDisk } = this.#options;
    const data = join(this.#directory, 'data');
    mkdirSync(data);
    mkdirSync(artefacts, { recursive: true });
    if (smallDisk) {
      this.#volume = new Volume(data);
      this.#volume.mount(VOLUME_MB);
    }
    if (!embedded) await this.#startRedis();
    for (let number = 1; number <= (embedded ? 1 : nodes); number++) {
      this.nodes.push(await this.#createNode(number, number === 1 || standby ? 'all' : 'gateway'));
    }
    for (const node of this.nodes) {
      node.start();
      if (await node.untilReady(START_MS)) continue;
      throw new Error(
        `node ${node.number} is not ready after ${START_MS / 1000} s: see its log in ${artefacts}`,
      );
    }
  }

  async #startRedis(): Promise<void> {
    const { redis = 'single', artefacts } = this.#options;
    const directory = join(this.#directory, 'redis');
    mkdirSync(directory);
    const where = { directory, logs: artefacts };
    // With several servers, each has one relay before it, for nodes and servers alike: a fault there is a server's.
    const front = async (port: number): Promise<number> => {
      const relay = new Relay(port);
      await relay.start();
      this.links.push({ name: `redis ${this.links.length + 1}`, relay, path: { kind: 'all' } });
      return relay.port;
    };
    if (redis === 'single') this.#redis = await startSingle(where);
    else if (redis === 'sentinel') this.#redis = await startSentinel({ ...where, front });
    else this.#redis = await startCluster({ ...where, front }, 1);
    const census = async (): Promise<void> => {
      this.#masters = (await this.#redis?.masters()) ?? [];
    };
    await census();
    this.#census = setInterval(() => void census(), CENSUS_EVERY_MS);
  }

  async #createNode(number: number, role: string): Promise<ParleyNode> {
    const port = await freePort();
    const env: Record<string, string> = {
      NODE_ENV: 'production',
      HOST: '127.0.0.1',
      PORT: String(port),
      ADMIN_PORT: String(await freePort()),
      DATABASE_PATH: this.databasePath,
      ROLE: role,
      WORKERS: String(this.#options.gateways),
      LOG_LEVEL: 'info',
      AUTH: 'required',
      TOKEN_SECRET: 'the secret of every faults run: not a secret at all',
      RATE_LIMITS: 'off',
    };
    if (this.#redis !== undefined) env.REDIS_URL = await this.#wayToRedis(number, this.#redis);
    return new ParleyNode({
      number,
      port,
      env,
      root: this.#options.root,
      logFile: join(this.#options.artefacts, `node-${number}.log`),
    });
  }

  /** One server: each node has its own way to it. */
  async #wayToRedis(number: number, { url, servers: [server, ...others] }: RedisTopology): Promise<string> {
    if (server === undefined || others.length > 0) return url;
    const relay = new Relay(server.port);
    await relay.start();
    this.links.push({ name: `node ${number}`, relay, path: { kind: 'node', node: number } });
    return `redis://127.0.0.1:${relay.port}`;
  }

  /** Registers the users and logs them in: few at once, since all come from one address, which has its share of the line. */
  async accounts(count: number): Promise<Account[]> {
    const port = this.nodes[0]!.port;
    const accounts: Account[] = [];
    const numbers = Array.from({ length: count }, (_, i) => i + 1);
    for (const some of chunks(numbers, ACCOUNTS_AT_ONCE))
      accounts.push(
        ...(await Promise.all(
          some.map(async (number) => {
            const credentials = { user_id: `user-${number}`, password: `password ${number}` };
            await post(port, '/register', credentials);
            const { token } = (await post(port, '/login', credentials)) as { token: string };
            return { user: credentials.user_id, token };
          }),
        )),
      );
    return accounts;
  }

  /** Ends everything it started and removes everything it made; the database is gone after this. */
  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    clearInterval(this.#census);
    await this.#redis?.stop();
    await Promise.all(this.links.map(({ relay }) => relay.stop()));
    this.#volume?.unmount();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

async function post(port: number, path: string, body: object): Promise<unknown> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(20_000),
  });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`POST ${path}: ${answer.status} ${text}`);
  return JSON.parse(text);
}
