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
