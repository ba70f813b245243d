import { descendants, read, titleOf } from '../support/processes.ts';

/*
 * What the servers cost, read from /proc: CPU time and memory of whole process trees, by role. A process says its role in
 * its title ("parley: gateway 1" → gateway).
 */

/** Microseconds per clock tick: USER_HZ is 100 on every Linux Node runs on. */
const TICK_US = 10_000;

type Process = { readonly pid: number; readonly cpuUs: number };
export type ByRole = Readonly<Record<string, number>>;

/** CPU time in microseconds used so far by each process of the trees under `roots`. Keys are `pid role`. */
export type CpuSample = Readonly<Record<string, number>>;

export function sampleCpu(roots: readonly number[]): CpuSample {
  const sample: Record<string, number> = {};
  for (const process of tree(roots)) sample[`${process.pid} ${roleOf(process.pid)}`] = process.cpuUs;
  return sample;
}

/** CPU time in microseconds between two samples, by role. A process that began in between counts from its start. */
export function cpuBetween(before: CpuSample, after: CpuSample): ByRole {
  const used: Record<string, number> = {};
  const pidBefore = new Map(Object.entries(before).map(([key, us]) => [key.split(' ')[0], us]));
  for (const [key, us] of Object.entries(after)) {
    const [pid, role] = key.split(' ') as [string, string];
    used[role] = (used[role] ?? 0) + us - (pidBefore.get(pid) ?? 0);
  }
  return used;
}

/** Proportional set size in bytes of the trees under `roots`, by role: shared pages are counted once in all. */
export function samplePss(roots: readonly number[]): ByRole {
  const used: Record<string, number> = {};
  for (const { pid } of tree(roots)) {
    const rollup = read(pid, 'smaps_rollup');
    const kib = rollup === undefined ? undefined : /^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1];
    if (kib === undefined) continue;
    const role = roleOf(pid);
    used[role] = (used[role] ?? 0) + Number(kib) * 1024;
  }
  return used;
}

/** Pids of the trees under `roots` that have the given role, in order of pid. */
export function pidsWithRole(roots: readonly number[], role: string): number[] {
  return tree(roots)
    .map((process) => process.pid)
    .filter((pid) => roleOf(pid) === role)
    .sort((a, b) => a - b);
}

export function total(byRole: ByRole): number {
  return Object.values(byRole).reduce((sum, value) => sum + value, 0);
}

function tree(roots: readonly number[]): Process[] {
  const all = new Map(roots.flatMap((root) => [...descendants(root)]));
  return [...all].map(([pid, { cpuTicks }]) => ({ pid, cpuUs: cpuTicks * TICK_US }));
}

function roleOf(pid: number): string {
  const title = titleOf(pid);
  if (title.includes('redis-server')) return 'redis';
  return /^[\w.-]+: ([a-z]+)/.exec(title)?.[1] ?? 'other';
}
