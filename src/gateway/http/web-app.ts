import { once } from 'node:events';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { send } from '@koa/send';
import type Koa from 'koa';
import { ParleyError } from '../../contract/errors.ts';

const YEAR_S = 365 * 24 * 3600;
/** Files under this path have the hash of their content in their name. */
const HASHED = 'assets/';
/** Headers that describe a file, and no error in its place. */
const OF_FILE = ['Content-Encoding', 'Content-Type', 'Last-Modified'];

/**
 * Serves the built web app, or nothing if it is not built. Files are looked up at each request: a rebuilt page, as when a second
 * server starts from a changed checkout, names files that the previous one did not have.
 */
export function serveWebApp(folder: string): Koa.Middleware {
  return async (ctx, next) => {
    const file = ctx.path === '/' ? 'index.html' : ctx.path.slice(1);
    if ((ctx.method !== 'GET' && ctx.method !== 'HEAD') || path.extname(file) === '') return next();
    const sent = await send(ctx, file, { root: folder }).catch((error: { status?: number }) => {
      if (error.status === undefined || error.status >= 500) throw error;
    });
    if (sent === undefined) return next();
    const stream = ctx.body as Readable;
    try {
      await once(stream, 'open');
    } catch (error) {
      // It may not be read, or went away just now. Koa would end the connection (not even that, for HEAD), and nobody would know why.
      for (const name of OF_FILE) ctx.remove(name);
      ctx.set('Cache-Control', 'no-store');
      throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? new ParleyError('not_found') : error;
    }
    stream.on('error', () => {}); // For GET Koa listens, too, and ends the connection.
    ctx.vary('Accept-Encoding');
    ctx.set('Cache-Control', file.startsWith(HASHED) ? `public, max-age=${YEAR_S}, immutable` : 'no-cache');
    // Only for the very file that the browser has, as nginx does. A merely older one may be from a build that was rolled back.
    if (ctx.fresh && ctx.get('If-Modified-Since') === ctx.response.get('Last-Modified')) ctx.status = 304;
  };
}
