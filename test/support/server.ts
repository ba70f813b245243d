import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { freePort } from './ports.ts';
import { childrenOf, isAlive, signalPid, titleOf } from './processes.ts';
import { ROOT } from './root.ts';
import { waitFor } from './wait.ts';

const START_MS = 60_000;

/** Shared by tests so that tokens can be made without a login. */
export const TEST_SECRET = 'a test secret of more than thirty-two characters';

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** One node of Parley: real processes, started as a person would. */
export class TestNode {
  readonly process: ChildProcess;
  readonly exited: Promise<Exit>;
  #output = '';

  /** @param binary of Node, if it is not the test's own */
  constructor(env: Readonly<Record<string, string>>, binary = process.execPath) {
    this.process = spawn(binary, ['src/main.ts'], {
      cwd: ROOT,
      env: {
        ...bareEnvironment(),
        PORT: '0',
        ADMIN_PORT: '0',
        TOKEN_SECRET: TEST_SECRET,
        RATE_LIMITS: 'off',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString();
      });
    }
    this.exited = new Promise((resolve) => {
      this.process.once('exit', (code, signal) => resolve({ code, signal }));
    });
  }

  /** Everything the node has said, both streams. */
  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.process.pid as number;
  }

  /** The log lines with this event. */
  events(event: string): Record<string, unknown>[] {
    return this.#output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => line['event'] === event);
  }

  /** Where it listens, such as http://127.0.0.1:41234; waits for the start line. */
  async url(): Promise<string> {
    const [started] = await this.waitForEvent('started');
    return String(started?.['url']).replace('localhost', '127.0.0.1');
  }

  async waitForEvent(event: string): Promise<Record<string, unknown>[]> {
    await waitFor(
      () => this.events(event).length > 0,
      START_MS,
      () => `the node did not say '${event}':\n${this.#output}`,
    );
    return this.events(event);
  }

  /** Pids of its workers of one kind, such as `gateway`, by their process titles. */
  workers(kind: string): number[] {
    return childrenOf(this.pid).filter((pid) => titleOf(pid).startsWith(`parley: ${kind}`));
  }

  signal(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  /** Ends it the hard way, workers too. */
  async kill(): Promise<void> {
    const workers = childrenOf(this.pid);
    this.process.kill('SIGKILL');
    await this.exited;
    for (const pid of workers) signalPid(pid, 'SIGKILL');
    await waitFor(
      () => workers.every((pid) => !isAlive(pid)),
      5_000,
      () => 'workers outlived their primary',
    );
  }
}

/** A temporary folder that is gone after the test. */
export function temporaryFolder(cleanups: { after(task: () => void): void }): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'parley-test-'));
  cleanups.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a node for a test, and ends it with the test. Waits until it is ready to serve. */
export async function startNode(
  cleanups: { after(task: () => void | Promise<void>): void },
  env: Readonly<Record<string, string>>,
  binary?: string,
): Promise<{ node: TestNode; url: string }> {
  // Not one that the system gives away until the gateways listen on it.
  const node = new TestNode({ PORT: `${await freePort()}`, ...env }, binary);
  cleanups.after(() => node.kill());
  const url = await node.url();
  await waitReady(url, () => node.output);
  return { node, url };
}

export async function waitReady(url: string, output: () => string = () => ''): Promise<void> {
  await waitFor(
    async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200,
    START_MS,
    () => `${url} did not become ready:\n${output()}`,
  );
}

/** The environment without what a developer may have set for a server of their own. */
export function bareEnvironment(): Record<string, string> {
  const { PATH = '', HOME = '', TMPDIR } = process.env;
  return { PATH, HOME, ...(TMPDIR !== undefined && { TMPDIR }) };
}
