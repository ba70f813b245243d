import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, openSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { exited } from './processes.ts';

/** A Redis of our own, on a port and in a folder that outlive its process, with its log in the artefacts. */
export class RedisServer {
  readonly port: number;
  readonly #directory: string;
  readonly #log: number;
  #child: ChildProcess | undefined;

  constructor(port: number, directory: string, logFile: string) {
    this.port = port;
    this.#directory = directory;
    this.#log = openSync(logFile, 'a');
  }

  /** Returns when it answers; throws when it does not within 10 s. */
  async start(): Promise<void> {
    mkdirSync(this.#directory, { recursive: true });
    const options = {
      port: this.port,
      bind: '127.0.0.1',
      dir: this.#directory,
      save: '',
      appendonly: 'yes',
      appendfsync: 'everysec',
    };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    this.#child = spawn('redis-server', args, { stdio: ['ignore', this.#log, this.#log] });
    const end = performance.now() + 10_000;
    while (!(await this.#answers())) {
      if (performance.now() > end) throw new Error(`redis-server on port ${this.port} does not answer`);
      await sleep(20);
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  async kill(): Promise<void> {
    if (this.#child === undefined) return;
    this.#child.kill('SIGCONT');
    this.#child.kill('SIGKILL');
    await exited(this.#child, 5_000);
    this.#child = undefined;
  }

  /** Between a kill and a start: everything it kept is gone. */
  forget(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** One command on a connection of its own; throws when Redis does not answer in 5 s. */
  async command(name: string, ...args: string[]): Promise<unknown> {
    const client = this.#client(5_000);
    try {
      await client.connect();
      return await client.call(name, ...args);
    } finally {
      client.disconnect();
    }
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

  #client(timeoutMs: number): Redis {
    const client = new Redis({
      port: this.port,
      host: '127.0.0.1',
      lazyConnect: true,
      retryStrategy: () => null,
      connectTimeout: timeoutMs,
      commandTimeout: timeoutMs,
      maxRetriesPerRequest: 0,
      enableReadyCheck: true,
    });
    client.on('error', () => {});
    return client;
  }
}
