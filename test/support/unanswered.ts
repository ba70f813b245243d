import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';

/*
 * A `fetch` whose requests wait until the test answers them, so that other things can happen meanwhile.
 */

export type Asked = {
  readonly url: URL;
  readonly authorization: string | undefined;
  answer(body: unknown, status?: number): Promise<void>;
};

/** Requests that nobody has answered yet. */
export const asked: Asked[] = [];

/** Resolves when what was begun has gone as far as it can without an answer. */
export const settled = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await turn();
};

export const fetch = (
  url: string,
  { headers }: { readonly headers?: Record<string, string> } = {},
): Promise<Response> =>
  new Promise((resolve) => {
    asked.push({
      url: new URL(url),
      authorization: headers?.Authorization,
      answer(body, status = 200) {
        resolve(Response.json(body, { status }));
        return settled();
      },
    });
  });

/** The oldest request of this kind that waits for an answer. */
export async function request(path: string): Promise<Asked & { readonly query: Record<string, string> }> {
  await settled();
  const index = asked.findIndex(({ url }) => url.pathname === `/${path}`);
  assert.ok(index >= 0, `nobody asked for ${path}; for ${asked.map(({ url }) => url.pathname)}`);
  const [found] = asked.splice(index, 1) as [Asked];
  const { user_id: _, ...query } = Object.fromEntries(found.url.searchParams);
  return { ...found, query };
}
