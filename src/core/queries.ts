import type { z } from 'zod';
import type { conversationSummary } from '../contract/http.ts';

/*
 * What gateways ask of readers. All are read-only and bounded in what they answer, so a lost one is simply asked again.
 */

/** What a verified token says. */
export type TokenClaims = {
  readonly user: string;
  readonly tokenId: string;
  /** The user's token version when the token was made; a newer one in the database ends it. */
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
  /** The user's messages are complete up to here. */
  readonly upto: number;
  /** Newest message id of the database in the same snapshot. */
  readonly head: number;
  /** True if the page was cut short: ask again from `upto`. */
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
  /** `since` undefined: no messages, only the head and what is known of user and tokens. */
  catchUp: {
    params: { user: string; since?: number; tokens?: readonly Pick<TokenClaims, 'tokenId' | 'version'>[] };
    answer: CatchUpPage;
  };
  tokenState: { params: Pick<TokenClaims, 'user' | 'tokenId' | 'version'>; answer: TokenState };
  /** Newest messages of a user over all conversations, newest first; bounded in bytes, so `more` may come early. */
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
   * Rejects with ParleyError: `unavailable` if no reader answers in time, `token_revoked` if `token` is given and was
   * ended: whoever acts by a token has it checked in the same query.
   */
  ask<Name extends QueryName>(
    name: Name,
    params: Queries[Name]['params'],
    token?: TokenClaims,
  ): Promise<Queries[Name]['answer']>;
}

/** A class that answers every query: what a reader is. */
export type QueryHandlers = {
  [Name in QueryName]: (params: Queries[Name]['params']) => Queries[Name]['answer'];
};
