import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';

/*
 * Run before `npm start`: builds the web app and the cluster page where they have not been built since their sources
 * changed.
 */

const ROOT = path.join(import.meta.dirname, '../..');
const PAGES = [
  {
    result: 'dist/web',
    sources: ['src/web', 'src/client', 'src/contract'],
    config: 'src/web/vite.config.ts',
  },
  { result: 'dist/admin', sources: ['src/ops'], config: 'src/ops/admin-page/vite.config.ts' },
] as const;

function builtAt(result: string): number {
  try {
    return statSync(path.join(ROOT, result, 'index.html')).mtimeMs;
  } catch {
    return 0;
  }
}

function changedAt(sources: readonly string[]): number {
  const files = sources.flatMap((folder) =>
    readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((file) =>
      path.join(ROOT, folder, file),
    ),
  );
  return Math.max(...files.map((file) => statSync(file).mtimeMs));
}

for (const { result, sources, config } of PAGES) {
  if (builtAt(result) >= changedAt(sources)) continue;
  const { build } = await import('vite');
  await build({ configFile: path.join(ROOT, config), logLevel: 'warn' });
}
