import { spawn } from 'node:child_process';
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../support/root.ts';
import type { Report } from './report.ts';

/*
 * Planted faults: the product is copied, broken on purpose, and put to the test as any checkout is. A checker that does not
 * see the fault proves nothing by its silence.
 */

/** One place of the source that is changed. `find` must be there exactly once. */
export type Edit = { file: string; find: string; replace: string };

export type Run = { exitCode: number | null; output: string; report: Report | undefined };

/**
 * Copies the product to the folder `root`. Throws if an edit no longer fits the source. The same fault has the same folder each
 * time: Node's compile cache goes by it.
 * @returns removes the copy
 */
export function plant(root: string, edits: readonly Edit[]): () => void {
  const remove = (): void => rmSync(root, { recursive: true, force: true });
  remove();
  try {
    for (const name of ['src', 'package.json'])
      cpSync(join(ROOT, name), join(root, name), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
    for (const edit of edits) apply(root, edit);
    return remove;
  } catch (error) {
    remove();
    throw error;
  }
}

function apply(root: string, { file, find, replace }: Edit): void {
  const path = join(root, file);
  const source = readFileSync(path, 'utf8');
  const times = source.split(find).length - 1;
  if (times !== 1)
    throw new Error(`${file} has this ${times} times, not once; mend the planted fault:\n${find}`);
  writeFileSync(
    path,
    source.replace(find, () => replace),
  );
}

/** Puts a checkout to the test; the report is read from `directory`, where logs are left too. */
export async function putToTheTest(root: string, directory: string, args: readonly string[]): Promise<Run> {
  const run = join(ROOT, 'test/faults/run.ts');
  const child = spawn(process.execPath, [run, '--root', root, '--report', directory, ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  const exitCode = await new Promise<number | null>((ended) => child.once('close', ended));
  return { exitCode, output, report: readReport(directory) };
}

function readReport(directory: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8')) as Report;
  } catch {
    return undefined;
  }
}
