/** Ends the process with one clear line for each problem, for the person who started it. */
export function fail(...problems: string[]): never {
  for (const problem of problems) process.stderr.write(`parley: ${problem}\n`);
  process.exit(1);
}
