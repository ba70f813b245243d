import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/*
 * Run by `npm run build`, and before `npm start`: builds the web app and the cluster page where they have not been built of
 * the sources that are there. It is their content that tells: what an upgrade brings by tar or rsync may be older than the
 * pages before it.
 */

const ROOT = path.join(import.meta.dirname, '../..');
const PAGES = [
  {
    result: 'dist/web',
    sources: ['src/web', 'src/client', 'src/contract', 'package-lock.json'],
    config: 'src/web/vite.config.ts',
  },
  {
    result: 'dist/admin',
    sources: ['src/ops', 'package-lock.json'],
    config: 'src/ops/admin-page/vite.config.ts',
  },
] as const;

/** A digest of files, and of all that is in folders. */
function digestOf(sources: readonly string[]): string {
  const files = sources.flatMap((source) =>
    statSync(path.join(ROOT, source)).isFile()
      ? [source]
      : readdirSync(path.join(ROOT, source), { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map(({ parentPath, name }) => path.relative(ROOT, path.join(parentPath, name))),
  );
  const digest = createHash('sha256');
  for (const file of files.sort())
    digest.update(`${file}\0`).update(
      createHash('sha256')
        .update(readFileSync(path.join(ROOT, file)))
        .digest(),
    );
  return digest.digest('hex');
}

/** Of what the pages were built; undefined if they have not been. */
function builtOf(result: string): string | undefined {
  try {
    statSync(path.join(ROOT, result, 'index.html'));
    return readFileSync(stampOf(result), 'utf8');
  } catch {
    return undefined;
  }
}

/** Beside the pages: what is among them is served. */
const stampOf = (result: string): string => path.join(ROOT, `${result}.sources`);

for (const { result, sources, config } of PAGES) {
  const digest = digestOf(sources);
  if (builtOf(result) === digest) continue;
  const { build } = await import('vite');
  await build({ configFile: path.join(ROOT, config), logLevel: 'warn' });
  writeFileSync(stampOf(result), digest);
}
