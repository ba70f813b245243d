import path from 'node:path';

const NEEDED = [22, 14] as const;

/** Ends the process with one clear line if Node is too old: better-sqlite3 would crash on it without a message. */
export function checkRuntime(): void {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])) return;
  process.stderr.write(
    `parley: Node ${NEEDED.join('.')} or newer is needed, this is ${process.versions.node}. 'npm start' brings its own.\n`,
  );
  process.exit(1);
}

/**
 * Where Node keeps compiled code, unless NODE_COMPILE_CACHE says otherwise. With it, a node and a replaced worker start in two
 * thirds of the time. It is not in the system's temporary directory, where others could plant code that this process would run.
 * If it can't be written, everything works without it.
 */
export const COMPILE_CACHE =
  process.env['NODE_COMPILE_CACHE'] || path.join(import.meta.dirname, '../../node_modules/.cache/compile');
