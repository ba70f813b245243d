import { Tokens } from '../auth/tokens.ts';
import type { Config } from '../config/config.ts';
import { ParleyError } from '../contract/errors.ts';
import type { QueryPort, TokenClaims } from '../core/queries.ts';

export type Identity = {
  readonly user: string;
  /** Absent in AUTH=open. */
  readonly claims: TokenClaims | undefined;
};

/** Revoked tokens to remember. */
const ENDED_MAX = 10_000;

/** Determines whom a request or a socket acts for (SPEC.md, part A). */
export class Identities {
  readonly #settings: Config['auth'];
  readonly #queries: QueryPort;
  #tokens: Tokens | undefined;
  #learned: string | undefined;
  /** Ids of tokens that the store reported as revoked. They take no more of their user's turns (rule L10). */
  readonly #ended = new Set<string>();

  constructor(settings: Config['auth'], queries: QueryPort) {
    this.#settings = settings;
    this.#queries = queries;
    if (settings.mode === 'required' && settings.secrets.length > 0) {
      this.#tokens = new Tokens(settings.secrets, settings.tokenTtlS);
    }
  }

  get open(): boolean {
    return this.#settings.mode === 'open';
  }

  /** Sets the secret that is kept with the database. It is used if the settings name none. */
  learnSecret(secret: string): void {
    if (this.#settings.mode !== 'required' || this.#settings.secrets.length > 0) return;
    // It may be another database, for example after Redis has lost its data.
    if (secret !== this.#learned) this.#tokens = new Tokens([secret], this.#settings.tokenTtlS);
    this.#learned = secret;
  }

  /** Remembers a revoked token. Revocation is for ever. */
  ended({ tokenId }: TokenClaims): void {
    this.#ended.add(tokenId);
    const [oldest] = this.#ended;
    if (this.#ended.size > ENDED_MAX) this.#ended.delete(oldest as string);
  }

  /** @returns undefined in AUTH=open, where there are no tokens */
  async issue(user: string, version: number): Promise<{ token: string; expires_at: string } | undefined> {
    if (this.open) return undefined;
    const { token, claims } = await this.#signer().issue(user, version);
    return { token, expires_at: new Date(claims.expiresAt * 1000).toISOString() };
  }

  /** Checks a token's signature and expiry, without the store. @throws ParleyError */
  verify(token: string): Promise<TokenClaims> {
    return this.#signer().verify(token);
  }

  /**
   * The identity behind a user id and a token, either of which may be missing. The store is not asked here whether the token was
   * revoked: see `current`.
   * @throws ParleyError missing_user | unauthorized | token_expired | token_revoked, if that is known | forbidden
   */
  async identify(
    user: string | undefined,
    claims: TokenClaims | undefined,
    token?: string,
  ): Promise<Identity> {
    if (this.open) {
      if (!user) throw new ParleyError('missing_user');
      return { user, claims: undefined };
    }
    const known = claims ?? (token === undefined ? undefined : await this.verify(token));
    if (known === undefined) throw new ParleyError('unauthorized');
    if (this.#ended.has(known.tokenId)) throw new ParleyError('token_revoked');
    if (user !== undefined && user !== known.user) throw new ParleyError('forbidden');
    return { user: known.user, claims: known };
  }

  /** Asks the store whether the token is still valid. @throws ParleyError token_revoked | unavailable */
  async current({ claims }: Identity): Promise<void> {
    if (claims === undefined) return;
    const { user, tokenId, version } = claims;
    if ((await this.#queries.ask('tokenState', { user, tokenId, version })) === 'valid') return;
    this.ended(claims);
    throw new ParleyError('token_revoked');
  }

  #signer(): Tokens {
    if (this.#tokens === undefined)
      throw new ParleyError('unavailable', 'The store has not been reached yet: try again shortly.');
    return this.#tokens;
  }
}
