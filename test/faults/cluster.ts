import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Account } from './load.ts';
import { ParleyNode } from './node.ts';
import { RedisServer } from './redis-server.ts';
import { Relay } from './relay.ts';
import { Volume } from './volume.ts';

export type ClusterOptions = {
  embedded: boolean;
  /** How many nodes; one when embedded. */
  nodes: number;
  /** Every node may hold the writer, all on the one database file; otherwise the first alone. */
  standby: boolean;
  /** The checkout under test. */
  root: string;
  /** Where the processes' logs go. */
  artefacts: string;
  /** Put the database on a small file system in memory, which can be filled. */
  smallDisk: boolean;
};

const VOLUME_MB = 384;
const START_MS = 60_000;

/** The system under test, as it runs in earnest: real processes, a real Redis, each node with its own way to Redis. */
export class Cluster {
  readonly nodes: ParleyNode[] = [];
  readonly relays: Relay[] = [];
  readonly #options: ClusterOptions;
  readonly #directory: string;
  #redis: RedisServer | undefined;
  #volume: Volume | undefined;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#directory = mkdtempSync(join(tmpdir(), 'parley-faults-'));
  }

  get databasePath(): string {
    return join(this.#directory, 'data', 'chat.db');
  }
  get redis(): RedisServer {
    if (this.#redis === undefined) throw new Error('the embedded cluster has no Redis');
    return this.#redis;
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
    if (!embedded) {
      this.#redis = new RedisServer(
        await freePort(),
        join(this.#directory, 'redis'),
        join(artefacts, 'redis.log'),
      );
      await this.#redis.start();
    }
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

  async #createNode(number: number, role: string): Promise<ParleyNode> {
    const port = await freePort();
    const env: Record<string, string> = {
      NODE_ENV: 'production',
      HOST: '127.0.0.1',
      PORT: String(port),
      ADMIN_PORT: String(await freePort()),
      DATABASE_PATH: this.databasePath,
      ROLE: role,
      WORKERS: '2',
      LOG_LEVEL: 'info',
      AUTH: 'required',
      TOKEN_SECRET: 'the secret of every faults run: not a secret at all',
      RATE_LIMITS: 'off',
    };
    if (this.#redis !== undefined) {
      const relay = new Relay(this.#redis.port);
      await relay.start();
      this.relays.push(relay);
      env.REDIS_URL = `redis://127.0.0.1:${relay.port}`;
    }
    return new ParleyNode({
      number,
      port,
      env,
      root: this.#options.root,
      logFile: join(this.#options.artefacts, `node-${number}.log`),
    });
  }

  /** Registers the users and logs them in. */
  async accounts(count: number): Promise<Account[]> {
    const port = this.nodes[0]!.port;
    return Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const credentials = { user_id: `user-${i + 1}`, password: `password ${i + 1}` };
        await post(port, '/register', credentials);
        const { token } = (await post(port, '/login', credentials)) as { token: string };
        return { user: credentials.user_id, token };
      }),
    );
  }

  /** Ends everything it started and removes everything it made; the database is gone after this. */
  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    await Promise.all(this.relays.map((relay) => relay.stop()));
    await this.#redis?.kill();
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

/** A port on loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((closed) => server.close(() => closed()));
  return port;
}
