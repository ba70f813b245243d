import path from 'node:path';

const NEEDED = [22, 14] as const;

/** Ends the process with one clear line where Node is too old: better-sqlite3 would crash on it without a word. */
export function checkRuntime(): void {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])) return;
  process.stderr.write(
    `parley: Node ${NEEDED.join('.')} or newer is needed, this is ${process.versions.node}. 'npm start' brings its own.\n`,
  );
  process.exit(1);
}

/**
 * Where Node keeps what it has compiled, unless NODE_COMPILE_CACHE says otherwise: a node starts in two thirds of the time, and
 * so does a worker in place of another. Not in the system's temporary directory, where others could put code that this
 * process would run. Where it can't be written, all goes on without.
 */
export const COMPILE_CACHE =
  process.env['NODE_COMPILE_CACHE'] ?? path.join(import.meta.dirname, '../../node_modules/.cache/compile');
