import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import { waitFor } from './server.ts';

/** A Redis server of the test's own, on a free port, with its data in a temporary folder. */
export class TestRedis {
  readonly port: number;
  readonly folder = mkdtempSync(path.join(os.tmpdir(), 'parley-redis-'));
  #process: ChildProcess | undefined;

  constructor(port: number) {
    this.port = port;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#process?.pid as number;
  }

  async start(): Promise<void> {
    const args = [
      '--port',
      String(this.port),
      '--bind',
      '127.0.0.1',
      '--dir',
      this.folder,
      '--appendonly',
      'yes',
      '--save',
      '',
    ];
    this.#process = spawn('redis-server', args, { stdio: 'ignore' });
    await waitFor(
      () => this.#answers(),
      10_000,
      () => 'redis-server did not start',
    );
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const ended = this.#process;
    if (ended === undefined || ended.exitCode !== null || ended.signalCode !== null) return;
    const exited = new Promise((resolve) => ended.once('exit', resolve));
    ended.kill(signal);
    await exited;
  }

  /** Runs one command. */
  async command(...args: [string, ...string[]]): Promise<unknown> {
    const client = this.#client();
    try {
      await client.connect();
      return await client.call(...args);
    } finally {
      client.disconnect();
    }
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #client(): Redis {
    const client = new Redis(this.port, '127.0.0.1', { lazyConnect: true, retryStrategy: null });
    client.on('error', () => {});
    return client;
  }

  async #answers(): Promise<boolean> {
    return this.command('PING').then(
      () => true,
      () => false,
    );
  }
}

/** A Redis for one test, gone with it. */
export async function startRedis(cleanups: { after(task: () => Promise<void>): void }): Promise<TestRedis> {
  const redis = new TestRedis(await freePort());
  cleanups.after(() => redis.remove());
  await redis.start();
  return redis;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
