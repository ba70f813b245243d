import type Koa from 'koa';

/**
 * Answers with a value as JSON, or with text that is JSON already. Koa would take the value, too, but first ask whether it is a
 * `Response`, for which Node loads the client behind `fetch`. src/base/node-http.ts says what that costs.
 */
export function answerJson(ctx: Koa.Context, body: object | string): void {
  ctx.type = 'application/json';
  ctx.body = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
}
