import path from 'node:path';
import cors from '@koa/cors';
import Koa from 'koa';
import helmet from 'koa-helmet';
import { ParleyError } from '../../contract/errors.ts';
import type { Logger } from '../../ops/logger.ts';
import { localAddress } from './address.ts';
import { answerJson } from './answer-json.ts';
import { checkHost } from './hosts.ts';
import { allowedOrigin, type Origins } from './origins.ts';
import { requestIdOf } from './request-id.ts';
import type { RouteContext } from './route-context.ts';
import { createRouter, SEED_PATHS } from './routes.ts';
import { serveWebApp } from './web-app.ts';

export type HttpAppOptions = {
  readonly routes: RouteContext;
  readonly origins: Origins;
  readonly trustProxy: boolean;
  /** Whether to answer only requests whose Host is `localhost` or an address. */
  readonly localNamesOnly: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly log: Logger;
};

/** Where `npm run build` puts the web app. */
const WEB_APP = path.join(import.meta.dirname, '../../../dist/web');

const CORS_HEADERS = 'x-requested-with, Content-Type, Authorization';
const CORS_METHODS = 'POST, GET, OPTIONS, PUT, DELETE';

/** Errors of the basic contract, which are answered with the sentence alone (rule H2). */
const SEED_ERRORS = new Set([
  'invalid_json',
  'missing_credentials',
  'missing_user',
  'user_exists',
  'invalid_credentials',
]);

/** The HTTP side of a gateway (SPEC.md, part H). */
export function createHttpApp({
  routes,
  origins,
  trustProxy,
  localNamesOnly,
  headers,
  log,
}: HttpAppOptions): Koa {
  // Our proxy appended the last address of X-Forwarded-For. Those before it are the client's claims.
  const app = new Koa({ proxy: trustProxy, maxIpsCount: 1 });
  app.silent = true;
  app.on('error', (err: Error) =>
    log.debug({ event: 'http_connection_error', err }, 'http connection error'),
  );

  app.use(async (ctx, next) => {
    const started = performance.now();
    ctx.url = localAddress(ctx.url);
    const requestId = requestIdOf(ctx.req.headers['x-request-id']);
    ctx.set({ ...headers, 'X-Request-Id': requestId, 'Cache-Control': 'no-store' });
    ctx.state['requestId'] = requestId;
    await next();
    if (routes.draining) ctx.set('Connection', 'close');
    log.debug(
      {
        event: 'request',
        requestId,
        method: ctx.method,
        path: ctx.path,
        status: ctx.status,
        ms: Math.round(performance.now() - started),
      },
      'request',
    );
  });

  const allowed = (ctx: Koa.Context): string => allowedOrigin(origins, ctx.get('Origin'));
  app.use(
    cors({
      origin: allowed,
      allowHeaders: CORS_HEADERS,
      allowMethods: CORS_METHODS,
      exposeHeaders: 'X-Request-Id, Parley-Worker, Retry-After',
    }),
  );
  app.use(
    helmet({
      contentSecurityPolicy: {
        useDefaults: false,
        directives: {
          defaultSrc: ["'none'"],
          baseUri: ["'none'"],
          connectSrc: ["'self'"],
          fontSrc: ["'self'"],
          formAction: ["'self'"],
          frameAncestors: ["'none'"],
          imgSrc: ["'self'", 'data:'],
          manifestSrc: ["'self'"],
          scriptSrc: ["'self'"],
          styleSrc: ["'self'"],
        },
      },
      // Answers are for other origins, too, as CORS says. And plain HTTP is a proper way to run this.
      crossOriginResourcePolicy: { policy: 'cross-origin' },
      strictTransportSecurity: false,
    }),
  );

  app.use(async (ctx, next) => {
    try {
      checkHost(ctx.req, localNamesOnly);
      await next();
      if (ctx.method === 'OPTIONS' && ctx.status !== 204) answerOptions(ctx, allowed(ctx));
      else if (ctx.status === 404 && ctx.body === undefined) throw new ParleyError('not_found');
    } catch (error) {
      const known = error instanceof ParleyError ? error : routes.unexpected(error, ctx.state['requestId']);
      const brief = routes.identities.open && SEED_PATHS.has(ctx.path) && SEED_ERRORS.has(known.code);
      ctx.status = known.status;
      if (known.retryAfterS !== undefined) ctx.set('Retry-After', String(known.retryAfterS));
      if (known.status === 401) ctx.set('WWW-Authenticate', 'Bearer');
      if (known.code === 'upgrade_required') ctx.set('Upgrade', 'websocket');
      answerJson(ctx, brief ? { error: known.message } : { error: known.message, code: known.code });
      routes.refused(known.code);
    }
  });

  app.use(serveWebApp(WEB_APP));
  const router = createRouter(routes);
  app.use(router.routes());
  app.use(async (ctx, next) => {
    const methods = router.stack.filter((layer) => layer.path === ctx.path).flatMap((layer) => layer.methods);
    if (methods.length > 0 && ctx.method !== 'OPTIONS') {
      ctx.set('Allow', [...new Set(methods)].join(', '));
      throw new ParleyError('method_not_allowed');
    }
    await next();
  });
  return app;
}

/** Answers an `OPTIONS` request that is no preflight (rule H3). @koa/cors answers preflights. */
function answerOptions(ctx: Koa.Context, origin: string): void {
  ctx.status = 204;
  ctx.set({ 'Access-Control-Allow-Headers': CORS_HEADERS, 'Access-Control-Allow-Methods': CORS_METHODS });
  if (origin) ctx.set('Access-Control-Allow-Origin', origin);
}
