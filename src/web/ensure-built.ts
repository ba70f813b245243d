import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';

/*
 * Run before `npm start`: builds the web app where it has not been built since its sources changed.
 */

const ROOT = path.join(import.meta.dirname, '../..');
const SOURCES = ['src/web', 'src/client', 'src/contract'];

function builtAt(): number {
  try {
    return statSync(path.join(ROOT, 'dist/web/index.html')).mtimeMs;
  } catch {
    return 0;
  }
}

function changedAt(): number {
  const files = SOURCES.flatMap((folder) =>
    readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((file) =>
      path.join(ROOT, folder, file),
    ),
  );
  return Math.max(...files.map((file) => statSync(file).mtimeMs));
}

if (builtAt() < changedAt()) {
  const { build } = await import('vite');
  await build({ configFile: path.join(import.meta.dirname, 'vite.config.ts'), logLevel: 'warn' });
}
