import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type AdminHandler, json } from './admin-server.ts';

/** Where `npm run build` puts the cluster page. */
const FOLDER = path.join(import.meta.dirname, '../../dist/admin');

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Routes of the cluster page's files. They are few and small, so they are kept in memory. */
export function adminFiles(): [route: string, handler: AdminHandler][] {
  if (!existsSync(FOLDER)) {
    const missing = { error: 'The cluster page is not built: npm run build, then start again.' };
    return [['GET /admin', () => json(404, missing)]];
  }
  const files = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' });
  return files.flatMap((file): [string, AdminHandler][] => {
    const type = TYPES[path.extname(file)];
    if (type === undefined) return [];
    const body = readFileSync(path.join(FOLDER, file));
    const route = file === 'index.html' ? '/admin' : `/admin/${file.split(path.sep).join('/')}`;
    // The name of an asset includes the hash of its content.
    const headers =
      file === 'index.html' ? undefined : { 'Cache-Control': 'public, max-age=31536000, immutable' };
    return [[`GET ${route}`, () => ({ status: 200, type, body, ...(headers && { headers }) })]];
  });
}
