import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { until } from './wait.ts';

/*
 * Processes as /proc knows them. One that has ended, or ends while it is looked at, is undefined, or nothing.
 */

export type Stat = {
  /** One letter, as ps(1) has it; Z and X are dead. */
  readonly state: string;
  readonly parent: number;
  /** Tells it from a later process with the same pid. */
  readonly startTime: string;
  /** CPU time in user and kernel mode, in clock ticks (100 a second). */
  readonly cpuTicks: number;
};

export function statOf(pid: number): Stat | undefined {
  const stat = read(pid, 'stat');
  if (stat === undefined) return undefined;
  // The name, in parentheses, may hold spaces and parentheses; the fields after it do not (proc_pid_stat(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    state: fields[0] as string,
    parent: Number(fields[1]),
    startTime: fields[19] as string,
    cpuTicks: Number(fields[11]) + Number(fields[12]),
  };
}

/** What a process says it is, such as `parley: gateway 1`; else its command line. */
export const titleOf = (pid: number): string => (read(pid, 'cmdline') ?? '').replaceAll('\0', ' ').trim();

export function isAlive(pid: number): boolean {
  const stat = statOf(pid);
  return stat !== undefined && stat.state !== 'Z' && stat.state !== 'X';
}

/** The process and all that descend from it, parents before their children, zombies left out. */
export function descendants(root: number): Map<number, Stat> {
  const children = new Map<number, number[]>();
  const stats = new Map<number, Stat>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const stat = Number.isInteger(pid) ? statOf(pid) : undefined;
    if (stat === undefined || stat.state === 'Z') continue;
    stats.set(pid, stat);
    const siblings = children.get(stat.parent);
    if (siblings === undefined) children.set(stat.parent, [pid]);
    else siblings.push(pid);
  }
  const found = new Map<number, Stat>();
  const pending = [root];
  for (let pid = pending.shift(); pid !== undefined; pid = pending.shift()) {
    const stat = stats.get(pid);
    if (stat !== undefined) found.set(pid, stat);
    pending.push(...(children.get(pid) ?? []));
  }
  return found;
}

export const childrenOf = (pid: number): number[] =>
  [...descendants(pid)].filter(([, { parent }]) => parent === pid).map(([child]) => child);

export const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean =>
  exitCode !== null || signalCode !== null;

/** Whether the child has ended within the bound. */
export const exited = (child: ChildProcess, boundMs: number): Promise<boolean> =>
  until(() => hasEnded(child), boundMs, 10);

/** The process may be gone. */
export function signalPid(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already.
  }
}

/** A file of the process in /proc. */
export function read(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}
