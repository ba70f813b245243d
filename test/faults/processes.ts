import { readdirSync, readlinkSync } from 'node:fs';
import { descendants, statOf, titleOf } from '../support/processes.ts';

/*
 * The processes of a node, found under its primary's pid in /proc by the title each of them gives itself.
 */

export type Role = 'primary' | 'gateway' | 'writer' | 'reader';

/** A process; `startTime` tells it from a later one with the same pid. */
export type Process = { pid: number; title: string; startTime: string };

/** The process and all that descend from it, zombies left out. */
export const processTree = (root: number): Process[] =>
  [...descendants(root)].map(([pid, { startTime }]) => ({ pid, title: titleOf(pid), startTime }));

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
