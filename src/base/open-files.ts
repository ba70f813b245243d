import { readFileSync } from 'node:fs';

/**
 * How many files and connections this process may have open; Infinity if there is no limit. Node has raised the soft limit to
 * the hard one. Source: /proc/self/limits, which Linux alone has (proc(5)).
 */
export function openFilesMax(): number {
  const soft = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}
