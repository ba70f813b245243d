import { createRequire } from 'node:module';
import type { Router as KoaRouter, RouterContext } from '@koa/router';
import { bearerToken } from '../../auth/tokens.ts';
import { asyncApiDocument, openApiDocument } from '../../contract/documents.ts';
import { ParleyError } from '../../contract/errors.ts';
import * as http from '../../contract/http.ts';
import type { Identity } from '../identities.ts';
import { changePassword, login, logout, register } from './accounts.ts';
import { answerJson } from './answer-json.ts';
import { conversations, history, recent, users } from './messages.ts';
import { docsPage, homePage, STYLE } from './pages.ts';
import { parseFields } from './parse.ts';
import { readJsonBody } from './read-body.ts';
import type { RouteContext } from './route-context.ts';

// Its ES module imports Node's http, which costs what src/base/node-http.ts says. What `require` loads does not.
const { Router } = createRequire(import.meta.url)('@koa/router') as typeof import('@koa/router');

/** The paths of the basic contract. */
export const SEED_PATHS = new Set(['/register', '/login', '/get-messages']);

export function createRouter(context: RouteContext): KoaRouter {
  // Strict, like the lists of paths: an address that is nearly right is not found, whatever the method.
  const router = new Router({ strict: true, sensitive: true });
  /** Who asks: the token's user, or in AUTH=open the given id. The query that follows checks whether the token was revoked. */
  const identify = (ctx: RouterContext, user: string | undefined): Promise<Identity> =>
    context.identities.identify(user, undefined, bearerToken(ctx.get('Authorization')));
  /** The same where no query follows: the token is checked first. */
  const identifyNow = async (ctx: RouterContext, user: string | undefined): Promise<Identity> => {
    const identity = await identify(ctx, user);
    await context.identities.current(identity);
    return identity;
  };

  /** Answers a request that reads the store, when its turn comes. */
  const inTurn = async <T>(
    ctx: RouterContext,
    user: string | undefined,
    answer: (identity: Identity) => Promise<T>,
  ): Promise<T> => {
    const identity = await identify(ctx, user);
    return context.turns.answer(identity.user, ctx.res, () => answer(identity));
  };

  router.post('/register', async (ctx) => {
    answerJson(ctx, await register(context, await readJsonBody(ctx.req), ctx.ip));
  });
  router.post('/login', async (ctx) => {
    answerJson(ctx, await login(context, await readJsonBody(ctx.req), ctx.ip));
  });
  router.post('/get-messages', async (ctx) => {
    const body = await readJsonBody(ctx.req);
    if (body['user_id'] === undefined || body['user_id'] === null || body['user_id'] === '')
      throw new ParleyError('missing_user');
    const request = parseFields(body, http.recentRequest);
    const answer = await inTurn(ctx, request.user_id, (identity) =>
      recent(context.queries, identity, request, () => ctx.res.closed, context.longAnswers),
    );
    answerJson(ctx, answer);
  });
  router.post('/logout', async (ctx) => {
    // The body is optional here: most calls of `logout` have none.
    const { user_id: asked, everywhere } = parseFields(await readJsonBody(ctx.req, '{}'), http.logoutRequest);
    answerJson(ctx, await logout(context, await identifyNow(ctx, asked), everywhere === true));
  });
  router.post('/change-password', async (ctx) => {
    const body = await readJsonBody(ctx.req);
    const { user_id: asked } = parseFields(body, http.asUserRequest);
    answerJson(ctx, await changePassword(context, await identifyNow(ctx, asked), body, ctx.ip));
  });

  router.get('/conversations', async (ctx) => {
    const query = parseFields({ ...ctx.query }, http.conversationsQuery);
    const answer = await inTurn(ctx, query.user_id, (identity) =>
      conversations(context.queries, identity, query),
    );
    answerJson(ctx, answer);
  });
  router.get('/history', async (ctx) => {
    const query = parseFields({ ...ctx.query }, http.historyQuery);
    answerJson(
      ctx,
      await inTurn(ctx, query.user_id, (identity) => history(context.queries, identity, query)),
    );
  });
  router.get('/users', async (ctx) => {
    const query = parseFields({ ...ctx.query }, http.usersQuery);
    answerJson(ctx, await inTurn(ctx, query.user_id, (identity) => users(context.queries, identity, query)));
  });

  router.get('/ws', () => {
    throw new ParleyError('upgrade_required');
  });
  router.get('/livez', (ctx) => {
    answerJson(ctx, { live: true });
  });
  router.get('/readyz', (ctx) => {
    const answer = context.readiness.answer();
    ctx.status = answer.ready ? 200 : 503;
    answerJson(ctx, answer);
  });

  // Made on demand, since making them takes a sixth of a gateway's start.
  const documents: { openApi?: object; asyncApi?: object } = {};
  router.get('/openapi.json', (ctx) => {
    documents.openApi ??= openApiDocument();
    answerJson(ctx, documents.openApi);
  });
  router.get('/asyncapi.json', (ctx) => {
    documents.asyncApi ??= asyncApiDocument();
    answerJson(ctx, documents.asyncApi);
  });
  router.get('/docs', (ctx) => {
    ctx.type = 'html';
    ctx.body = docsPage();
  });
  router.get('/docs.css', (ctx) => {
    ctx.type = 'css';
    ctx.body = STYLE;
  });
  router.get('/', (ctx) => {
    ctx.type = 'html';
    ctx.body = homePage();
  });
  return router;
}
