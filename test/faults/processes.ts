import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/*
 * The processes of a node, found under its primary's pid in /proc by the title each of them gives itself.
 */

export type Role = 'primary' | 'gateway' | 'writer' | 'reader';

/** A process; `startTime` tells it from a later one with the same pid. */
export type Process = { pid: number; title: string; startTime: string };

type Stat = { parent: number; startTime: string; state: string };

function statOf(pid: number): Stat | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in parentheses, may hold spaces and parentheses; the fields after it do not.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0]!, parent: Number(fields[1]), startTime: fields[19]! };
  } catch {
    return undefined;
  }
}

function titleOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

/** The process and all that descend from it, zombies left out. */
export function processTree(root: number): Process[] {
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
  const found: Process[] = [];
  const pending = [root];
  for (let pid = pending.shift(); pid !== undefined; pid = pending.shift()) {
    const stat = stats.get(pid);
    if (stat !== undefined) found.push({ pid, title: titleOf(pid), startTime: stat.startTime });
    pending.push(...(children.get(pid) ?? []));
  }
  return found;
}

/** `parley: gateway 1` is a gateway. */
export const hasRole = (process: Process, role: Role): boolean => process.title.startsWith(`parley: ${role}`);

export function isAlive(process: Process): boolean {
  const stat = statOf(process.pid);
  return stat !== undefined && stat.state !== 'Z' && stat.startTime === process.startTime;
}

/** Whether the process has the file open at this moment. */
export function hasOpen(process: Process, path: string): boolean {
  try {
    const folder = `/proc/${process.pid}/fd`;
    return readdirSync(folder).some((fd) => readlinkSync(`${folder}/${fd}`) === path);
  } catch {
    return false;
  }
}

/** Sends a signal to that very process; false when it is gone. */
export function signal(target: Process, name: NodeJS.Signals): boolean {
  if (!isAlive(target)) return false;
  try {
    return process.kill(target.pid, name);
  } catch {
    return false;
  }
}

/** Whether the child has ended within the bound. */
export async function exited(child: ChildProcess, boundMs: number): Promise<boolean> {
  if (child.exitCode !== null || child.signalCode !== null) return true;
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), boundMs);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}
