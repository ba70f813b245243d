import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { send } from '@koa/send';
import type Koa from 'koa';

const YEAR_S = 365 * 24 * 3600;
/** Files under here have the hash of their content in their name. */
const HASHED = 'assets/';

/** Serves the built web app, or nothing where it is not built. Files are looked up once, at start. */
export function serveWebApp(folder: string): Koa.Middleware {
  const files = new Set(
    existsSync(folder)
      ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((file) =>
          file.split(path.sep).join('/'),
        )
      : [],
  );
  return async (ctx, next) => {
    const file = ctx.path === '/' ? 'index.html' : ctx.path.slice(1);
    if ((ctx.method !== 'GET' && ctx.method !== 'HEAD') || !files.has(file) || path.extname(file) === '')
      return next();
    ctx.vary('Accept-Encoding');
    ctx.set('Cache-Control', file.startsWith(HASHED) ? `public, max-age=${YEAR_S}, immutable` : 'no-cache');
    await send(ctx, file, { root: folder });
    if (ctx.fresh) ctx.status = 304;
  };
}
