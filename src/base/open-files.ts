import { readFileSync } from 'node:fs';

/**
 * How many files and connections this process may have open; Infinity if there is no limit, or if it can't be known. Node has
 * raised the soft limit to the hard one. Source: /proc/self/limits, which Linux alone has (proc(5)), and where /proc is mounted.
 */
export function openFilesMax(limits = '/proc/self/limits'): number {
  let soft: string | undefined;
  try {
    soft = /^Max open files +(\d+)/m.exec(readFileSync(limits, 'utf8'))?.[1];
  } catch {
    // Without /proc (a chroot, say), the gateway serves as it would without a limit.
  }
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}
