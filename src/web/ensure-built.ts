import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/*
 * Run by `npm run build`, and before `npm start`. Builds the web app and the cluster page unless they were built from the present
 * sources. It compares contents, not times: files from an upgrade by tar or rsync may be older than the pages built before it.
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
    sources: ['src/ops', 'src/web/model/storage.ts', 'package-lock.json'],
    config: 'src/ops/admin-page/vite.config.ts',
  },
] as const;

/** A digest of files and folders, with all their contents. */
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

/** The digest of the sources that the pages were built from; undefined if they were not built. */
function builtOf(result: string): string | undefined {
  try {
    statSync(path.join(ROOT, result, 'index.html'));
    return readFileSync(stampOf(result), 'utf8');
  } catch {
    return undefined;
  }
}

/** Beside the pages, since everything among them is served. */
const stampOf = (result: string): string => path.join(ROOT, `${result}.sources`);

for (const { result, sources, config } of PAGES) {
  const digest = digestOf(sources);
  if (builtOf(result) === digest) continue;
  const { build } = await import('vite');
  await build({ configFile: path.join(ROOT, config), logLevel: 'warn' });
  writeFileSync(stampOf(result), digest);
}
