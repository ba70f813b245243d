import { type ChildProcess, fork, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exited, hasEnded } from '../support/processes.ts';
import { bareEnvironment } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

/*
 * Everything the bench starts and leaves behind is listed here, and is gone when the bench ends, however it ends.
 */

const children = new Set<ChildProcess>();
const directories = new Set<string>();
const lastTasks: (() => void)[] = [];
const START_MS = 30_000;
const STOP_MS = 15_000;

export function forkProcess(file: URL, env: Readonly<Record<string, string>> = {}): ChildProcess {
  return track(
    fork(file, {
      env: environment(env),
      detached: true,
      serialization: 'json',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    }),
  );
}

export function spawnProcess(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): ChildProcess {
  return track(
    spawn(command, args, { env: environment(env), detached: true, stdio: ['ignore', 'ignore', 'inherit'] }),
  );
}

/** SIGTERM, then SIGKILL for the whole group when it takes too long. */
export async function stopProcess(child: ChildProcess): Promise<void> {
  child.kill('SIGTERM');
  await exited(child, STOP_MS);
  killGroup(child);
  children.delete(child);
}

/** For what was started in another way: `task` ends it, if it is still there. */
export function atExit(task: () => void): void {
  lastTasks.push(task);
}

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'parley-bench-'));
  directories.add(directory);
  return directory;
}

export function removeDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
  directories.delete(directory);
}

/** Waits until `ready` holds; fails when `child` ends first or the time is over. */
export async function untilReady(
  name: string,
  child: ChildProcess,
  ready: () => Promise<boolean>,
): Promise<void> {
  await waitFor(
    async () => {
      if (hasEnded(child)) throw new Error(`${name} ended before it was ready`);
      return ready().catch(() => false);
    },
    START_MS,
    () => `${name} was not ready within ${START_MS} ms`,
  );
}

/** The bench's own settings do not reach what it measures. */
function environment(env: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  // NODE_OPTIONS is passed on, for profiles of everything the bench starts (--cpu-prof).
  const { NODE_OPTIONS } = process.env;
  return { ...bareEnvironment(), ...(NODE_OPTIONS !== undefined && { NODE_OPTIONS }), ...env };
}

function track(child: ChildProcess): ChildProcess {
  children.add(child);
  child.on('error', () => undefined);
  return child;
}

/** Children lead groups of their own: this reaches workers whose primary is gone. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // No process of the group is left.
  }
}

process.on('exit', () => {
  for (const child of children) killGroup(child);
  for (const task of lastTasks) task();
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
  ['SIGHUP', 1],
] as const) {
  process.on(signal, () => process.exit(128 + number));
}
