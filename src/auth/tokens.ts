import { randomUUID } from 'node:crypto';
import { errors, jwtVerify, SignJWT } from 'jose';
import { ParleyError } from '../contract/errors.ts';
import type { TokenClaims } from '../core/queries.ts';

const ISSUER = 'parley';
const ALGORITHM = 'HS256';
/** Verified tokens to remember: checking a signature takes about 80 µs. When the cache is full, it is cleared. */
const REMEMBERED_MAX = 5_000;

export type IssuedToken = { readonly token: string; readonly claims: TokenClaims };

/**
 * Makes and checks tokens (JWT, HMAC-SHA-256). Checking does not touch the store. Whether a token was revoked is for the reader
 * to say, in the same query that the token is for.
 */
export class Tokens {
  readonly #keys: readonly Promise<CryptoKey>[];
  /** Tokens whose signature was verified. */
  readonly #verified = new Map<string, TokenClaims>();
  readonly #ttlS: number;

  /** The first secret signs. All of them verify, so that a secret can be replaced without ending sessions. */
  constructor(secrets: readonly string[], ttlS: number) {
    if (secrets.length === 0) throw new Error('at least one secret is needed');
    this.#keys = secrets.map((secret) =>
      crypto.subtle.importKey(
        'raw',
        new TextEncoder().encode(secret),
        { name: 'HMAC', hash: 'SHA-256' },
        false,
        ['sign', 'verify'],
      ),
    );
    this.#ttlS = ttlS;
  }

  async issue(user: string, version: number): Promise<IssuedToken> {
    const now = Math.floor(Date.now() / 1000);
    const claims: TokenClaims = { user, tokenId: randomUUID(), version, expiresAt: now + this.#ttlS };
    const token = await new SignJWT({ ver: version })
      .setProtectedHeader({ alg: ALGORITHM })
      .setSubject(user)
      .setJti(claims.tokenId)
      .setIssuer(ISSUER)
      .setIssuedAt(now)
      .setExpirationTime(claims.expiresAt)
      .sign((await this.#keys[0]) as CryptoKey);
    return { token, claims };
  }

  /** @throws ParleyError unauthorized | token_expired */
  async verify(token: string): Promise<TokenClaims> {
    const known = this.#verified.get(token);
    if (known !== undefined) {
      if (known.expiresAt * 1000 > Date.now()) return known;
      throw new ParleyError('token_expired');
    }
    const claims = await this.#check(token);
    if (this.#verified.size >= REMEMBERED_MAX) this.#verified.clear();
    this.#verified.set(token, claims);
    return claims;
  }

  async #check(token: string): Promise<TokenClaims> {
    for (const key of this.#keys) {
      try {
        const { payload } = await jwtVerify(token, await key, { algorithms: [ALGORITHM], issuer: ISSUER });
        const { sub, jti, exp, ver } = payload;
        if (sub === undefined || jti === undefined || exp === undefined || typeof ver !== 'number') break;
        return { user: sub, tokenId: jti, version: ver, expiresAt: exp };
      } catch (error) {
        if (error instanceof errors.JWTExpired) throw new ParleyError('token_expired');
      }
    }
    throw new ParleyError('unauthorized');
  }
}

/** The token of an `Authorization: Bearer …` header, or undefined. */
export function bearerToken(header: string | undefined): string | undefined {
  return header?.match(/^Bearer +([\w.~+/=-]{1,4096})$/i)?.[1];
}
