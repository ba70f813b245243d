import type { z } from 'zod';
import type { conversationSummary } from '../contract/http.ts';

/* What gateways ask of readers. All queries are read-only and their answers are bounded, so a lost one is simply repeated. */

/** What a verified token says. */
export type TokenClaims = {
  readonly user: string;
  readonly tokenId: string;
  /** The user's token version when the token was made. A newer version in the database revokes it. */
  readonly version: number;
  /** Unix seconds. */
  readonly expiresAt: number;
};

export type TokenState = 'valid' | 'revoked';

export type StoreInfo = { readonly epoch: string; readonly tokenSecret: string };

/** Messages of one user in ascending id. */
export type CatchUpPage = {
  readonly epoch: string;
  readonly user: 'known' | 'unknown';
  readonly tokens: readonly TokenState[];
  readonly ids: readonly number[];
  /** Ready message frames, one per id. */
  readonly frames: readonly string[];
  /** The user's messages are complete up to this id. */
  readonly upto: number;
  /** The database's newest message id, in the same snapshot. */
  readonly head: number;
  /** True if the page was cut short: continue from `upto`. */
  readonly more: boolean;
};

export type StoredRow = readonly [
  id: number,
  sender: string,
  receiver: string,
  message: string,
  timestamp: string,
];

export type ConversationSummary = Readonly<z.infer<typeof conversationSummary>>;

/** Every query: its parameters and its answer. */
export type Queries = {
  info: { params: Record<string, never>; answer: StoreInfo };
  credentials: {
    params: { user: string };
    answer: { passwordHash: string; version: number } | null;
  };
  /** `since` undefined: no messages, only the head and the state of user and tokens. */
  catchUp: {
    params: { user: string; since?: number; tokens?: readonly Pick<TokenClaims, 'tokenId' | 'version'>[] };
    answer: CatchUpPage;
  };
  tokenState: { params: Pick<TokenClaims, 'user' | 'tokenId' | 'version'>; answer: TokenState };
  /** A user's newest messages over all conversations, newest first. The answer is bounded in bytes, so `more` may come early. */
  recent: {
    params: { user: string; before?: number; limit: number };
    answer: { rows: readonly StoredRow[]; more: boolean };
  };
  history: {
    params: { user: string; peer: string; before?: number; limit: number };
    answer: { frames: readonly string[]; nextBefore: number | null };
  };
  conversations: {
    params: { user: string; before?: number; limit: number };
    answer: { conversations: readonly ConversationSummary[]; nextBefore: number | null };
  };
  /** Ids that begin with `prefix`, above `after`, in byte order. */
  users: {
    params: { prefix: string; after?: string; except?: string; limit: number };
    answer: { users: readonly string[] };
  };
};

export type QueryName = keyof Queries;

export interface QueryPort {
  /**
   * Asks a reader. With a `token`, that is checked in the same query.
   * @throws ParleyError unavailable, if no reader answers in time, the store can't, or the bus takes no requests; overloaded, if
   *   too many queries are under way; token_revoked
   */
  ask<Name extends QueryName>(
    name: Name,
    params: Queries[Name]['params'],
    token?: TokenClaims,
  ): Promise<Queries[Name]['answer']>;
}

/** A class that answers every query, as a reader does. */
export type QueryHandlers = {
  [Name in QueryName]: (params: Queries[Name]['params']) => Queries[Name]['answer'];
};
