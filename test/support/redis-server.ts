import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import { hasEnded } from './processes.ts';
import { waitFor } from './wait.ts';

export type RedisServerOptions = {
  port: number;
  /** Holds its data and its configuration; both outlive its process. */
  directory: string;
  logFile?: string;
  /** Lines of the configuration beside the usual ones. */
  config?: readonly string[];
  /** A Sentinel, which keeps no data. */
  sentinel?: boolean;
  /** What a client needs to get in. */
  login?: RedisOptions;
};

/** What a server remembers about itself and the others, which is no data. */
const SETTINGS = ['redis.conf', 'nodes.conf'];

/** A Redis server, or a Sentinel, of our own: it can be killed, frozen, and started again where it was. */
export class RedisServer {
  readonly port: number;
  readonly directory: string;
  readonly #options: RedisServerOptions;
  readonly #log: number | 'ignore';
  #process: ChildProcess | undefined;

  constructor(options: RedisServerOptions) {
    this.#options = options;
    this.port = options.port;
    this.directory = options.directory;
    this.#log = options.logFile === undefined ? 'ignore' : openSync(options.logFile, 'a');
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#process?.pid as number;
  }

  get isUp(): boolean {
    return this.#process !== undefined && !hasEnded(this.#process);
  }

  /** Returns when it answers; throws when it does not within 10 s. */
  async start(): Promise<void> {
    mkdirSync(this.directory, { recursive: true });
    const file = join(this.directory, 'redis.conf');
    // A server writes into its own what it was told by a Sentinel.
    if (!existsSync(file)) writeFileSync(file, `${this.#lines().join('\n')}\n`);
    this.#process = spawn('redis-server', [file, ...(this.#options.sentinel ? ['--sentinel'] : [])], {
      stdio: ['ignore', this.#log, this.#log],
    });
    await waitFor(
      () => this.#answers(),
      10_000,
      () => `redis-server on port ${this.port} does not answer`,
    );
  }

  signal(name: NodeJS.Signals): void {
    this.#process?.kill(name);
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const ended = this.#process;
    if (ended === undefined || !this.isUp) return;
    const exited = new Promise((resolve) => ended.once('exit', resolve));
    ended.kill('SIGCONT');
    ended.kill(signal);
    await exited;
  }

  /** Between a kill and a start: all its data is gone. */
  forget(): void {
    for (const name of readdirSync(this.directory)) {
      if (!SETTINGS.includes(name)) rmSync(join(this.directory, name), { recursive: true, force: true });
    }
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Runs one command on a connection of its own; throws when there is no answer in 5 s. */
  async command(...args: [string, ...string[]]): Promise<unknown> {
    const client = this.#client(5_000);
    try {
      await client.connect();
      return await client.call(...args);
    } finally {
      client.disconnect();
    }
  }

  /** The value of a line of INFO. */
  async info(name: string): Promise<string | undefined> {
    return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(String(await this.command('INFO')))?.[1];
  }

  #lines(): string[] {
    const { port, sentinel = false, config = [] } = this.#options;
    const data = sentinel ? [] : ['appendonly yes', 'appendfsync everysec', 'save ""'];
    return [`port ${port}`, 'bind 127.0.0.1', `dir ${this.directory}`, ...data, ...config];
  }

  #client(timeoutMs: number): Redis {
    const client = new Redis({
      host: '127.0.0.1',
      port: this.port,
      ...this.#options.login,
      lazyConnect: true,
      retryStrategy: null,
      connectTimeout: timeoutMs,
      commandTimeout: timeoutMs,
      maxRetriesPerRequest: 0,
      enableReadyCheck: !this.#options.sentinel,
    });
    client.on('error', () => {});
    return client;
  }

  async #answers(): Promise<boolean> {
    const client = this.#client(500);
    try {
      await client.connect();
      return (await client.ping()) === 'PONG';
    } catch {
      return false;
    } finally {
      client.disconnect();
    }
  }
}
