import { randomUUID } from 'node:crypto';
import { errors, jwtVerify, SignJWT } from 'jose';
import { ParleyError } from '../contract/errors.ts';
import type { TokenClaims } from '../core/queries.ts';

const ISSUER = 'parley';
const ALGORITHM = 'HS256';

export type IssuedToken = { readonly token: string; readonly claims: TokenClaims };

/**
 * Makes and checks tokens (JWT, HMAC-SHA-256). Checking touches no store; whether a token was ended early is the
 * reader's to say, in the same query that the token is for.
 */
export class Tokens {
  readonly #keys: readonly Uint8Array[];
  readonly #ttlS: number;

  /** The first secret signs; all of them verify, so that one can be replaced without ending sessions. */
  constructor(secrets: readonly string[], ttlS: number) {
    if (secrets.length === 0) throw new Error('at least one secret is needed');
    this.#keys = secrets.map((secret) => new TextEncoder().encode(secret));
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
      .sign(this.#keys[0] as Uint8Array);
    return { token, claims };
  }

  /** @throws ParleyError unauthorized | token_expired */
  async verify(token: string): Promise<TokenClaims> {
    for (const key of this.#keys) {
      try {
        const { payload } = await jwtVerify(token, key, { algorithms: [ALGORITHM], issuer: ISSUER });
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
