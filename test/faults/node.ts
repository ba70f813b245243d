import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { exited, hasEnded } from '../support/processes.ts';
import { bareEnvironment } from '../support/server.ts';
import { until } from '../support/wait.ts';
import { hasRole, type Process, processTree, type Role, signal } from './processes.ts';

export type NodeOptions = {
  /** 1, 2, …: how histories and reports call it. */
  number: number;
  port: number;
  env: Record<string, string>;
  /** The checkout whose src/main.ts is run. */
  root: string;
  logFile: string;
};

/** How long `/readyz` may take to answer. */
const ANSWER_MS = 1_000;
/** How long systemd and its like wait before they start a service again. */
const RESTART_AFTER_MS = 100;

/** One Parley node: the primary we start, and the workers it starts. Started again when it dies, as a service is. */
export class ParleyNode {
  readonly number: number;
  readonly port: number;
  readonly #options: NodeOptions;
  #child: ChildProcess | undefined;
  #wanted = false;
  #supervised: Promise<void> = Promise.resolve();
  /** Every process it ever had: none may outlive it. */
  readonly #seen = new Map<string, Process>();
  #expected = false;
  /** Where the present process's part of the log begins. */
  #logStart = 0;
  /** What a service manager would complain about: it ended by itself, or left processes behind. */
  readonly complaints: string[] = [];

  constructor(options: NodeOptions) {
    this.#options = options;
    this.number = options.number;
    this.port = options.port;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it and keeps it running until `stop`. */
  start(): void {
    this.#wanted = true;
    this.#supervised = this.#supervise();
  }

  processes(role?: Role): Process[] {
    const child = this.#child;
    if (child?.pid === undefined || hasEnded(child)) return [];
    const all = processTree(child.pid);
    return role === undefined ? all : all.filter((process) => hasRole(process, role));
  }

  /** Kills the primary alone; it is started again. */
  killPrimary(): void {
    this.#expected = true;
    this.#child?.kill('SIGKILL');
  }

  /** Asks it to end, waits for that (killed after `boundMs`), and lets it be started again. Returns how it ended. */
  async restart(boundMs: number): Promise<{ tookMs: number; code: number | null }> {
    const child = this.#child;
    if (child === undefined) return { tookMs: 0, code: null };
    // Before it is up there is nothing to drain: then it may just end.
    const up = this.#up();
    const began = performance.now();
    this.#expected = true;
    child.kill('SIGTERM');
    if (!(await exited(child, boundMs))) for (const p of processTree(child.pid!)) signal(p, 'SIGKILL');
    const code = !up && child.signalCode === 'SIGTERM' ? 0 : child.exitCode;
    return { tookMs: performance.now() - began, code };
  }

  /** What `/readyz` says; undefined when it does not answer in time. */
  async ready(): Promise<boolean | undefined> {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.port}/readyz`, {
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      await answer.arrayBuffer();
      return answer.status === 200;
    } catch {
      return undefined;
    }
  }

  untilReady(boundMs: number): Promise<boolean> {
    return until(async () => (await this.ready()) === true, boundMs);
  }

  /** Ends it, with all its processes, whatever state they are in. */
  async stop(): Promise<void> {
    this.#wanted = false;
    this.#expected = true;
    const child = this.#child;
    if (child?.pid !== undefined && !hasEnded(child)) {
      this.#census();
      for (const process of this.#seen.values()) signal(process, 'SIGCONT');
      child.kill('SIGTERM');
      if (!(await exited(child, 12_000)))
        this.complaints.push(`node ${this.number} did not end within 12 s of SIGTERM`);
      child.kill('SIGKILL');
      await exited(child, 2_000);
    }
    await this.#supervised;
    await sleep(500);
    for (const process of this.#seen.values()) {
      if (signal(process, 'SIGKILL'))
        this.complaints.push(`node ${this.number} left ${process.title} (${process.pid}) behind`);
    }
  }

  /** Whether the present process has said that it is up. */
  #up(): boolean {
    return readFileSync(this.#options.logFile).subarray(this.#logStart).includes('"event":"started"');
  }

  #census(): void {
    for (const process of this.processes()) this.#seen.set(`${process.pid}/${process.startTime}`, process);
  }

  async #supervise(): Promise<void> {
    while (this.#wanted) {
      const log = openSync(this.#options.logFile, 'a');
      this.#logStart = fstatSync(log).size;
      const child = spawn(process.execPath, ['src/main.ts'], {
        cwd: this.#options.root,
        env: { ...bareEnvironment(), ...this.#options.env },
        stdio: ['ignore', log, log],
      });
      closeSync(log);
      this.#child = child;
      const census = setInterval(() => this.#census(), 1_000);
      await new Promise<void>((gone) => {
        child.once('exit', () => gone());
        child.once('error', () => gone());
      });
      clearInterval(census);
      // One that cannot start, without Redis or space, ends with a word to the operator, and is started again.
      if (!this.#expected && this.#up())
        this.complaints.push(`node ${this.number} ended by itself: ${child.signalCode ?? child.exitCode}`);
      this.#expected = false;
      if (this.#wanted) await sleep(RESTART_AFTER_MS);
    }
  }
}
