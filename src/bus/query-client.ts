import { ParleyError } from '../contract/errors.ts';
import { type Bus, RequestTimeout } from '../core/bus.ts';
import type { Queries, QueryHandlers, QueryName, QueryPort, TokenClaims } from '../core/queries.ts';

/** Time per try, and number of tries. A request may be lost. It is read-only, so repeating it is harmless. */
const TIMEOUT_MS = 2_000;
const TRIES = 2;
/** Limit on concurrent queries. */
const PENDING_MAX = 10_000;

type Answer = { readonly ok: unknown } | { readonly revoked: true } | { readonly error: string };

/** The gateway's end of the query port. */
export class QueryClient implements QueryPort {
  readonly #bus: Bus;
  readonly #onEnded: (token: TokenClaims) => void;
  #pending = 0;

  /** @param onEnded called with a token that the store says was revoked */
  constructor(bus: Bus, onEnded: (token: TokenClaims) => void = () => {}) {
    this.#bus = bus;
    this.#onEnded = onEnded;
  }

  async ask<Name extends QueryName>(
    name: Name,
    params: Queries[Name]['params'],
    token?: TokenClaims,
  ): Promise<Queries[Name]['answer']> {
    if (this.#pending >= PENDING_MAX) throw new ParleyError('overloaded');
    this.#pending++;
    try {
      const answer = JSON.parse(await this.#request(JSON.stringify([name, params, token]))) as Answer;
      if ('revoked' in answer) {
        if (token) this.#onEnded(token);
        throw new ParleyError('token_revoked');
      }
      if ('error' in answer) throw new ParleyError('unavailable', `The store can't answer: ${answer.error}.`);
      return answer.ok as Queries[Name]['answer'];
    } finally {
      this.#pending--;
    }
  }

  async #request(payload: string): Promise<string> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#bus.request(payload, TIMEOUT_MS);
      } catch (error) {
        // Otherwise the bus refused it (Redis may refuse the answers' channel), and would again. The bus tells operators why.
        if (!(error instanceof RequestTimeout) || tries === TRIES)
          throw new ParleyError('unavailable', 'The store does not answer: try again shortly.');
      }
    }
  }
}

/** The reader's end: answers a request with the handlers. `onError` gets what a handler threw, and returns what to tell the gateway. */
export function answerQuery(
  handlers: QueryHandlers,
  payload: string,
  onError: (name: string, error: unknown) => string,
): string {
  let name: QueryName | 'unreadable' = 'unreadable';
  try {
    const asked = JSON.parse(payload) as [QueryName, never, TokenClaims | null];
    const [, params, token] = asked;
    name = asked[0];
    if (token && handlers.tokenState(token) === 'revoked')
      return JSON.stringify({ revoked: true } satisfies Answer);
    // Gateways are upgraded before the store, so a newer one may ask a query that only its own version knows.
    if (!(name in handlers))
      throw new Error(`it knows no query '${name}', as the gateway's version does: upgrade the store, too`);
    return JSON.stringify({ ok: handlers[name](params) } satisfies Answer);
  } catch (error) {
    return JSON.stringify({ error: onError(name, error) } satisfies Answer);
  }
}
