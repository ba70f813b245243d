import type { z } from 'zod';
import type * as http from '../../contract/http.ts';
import { LIMITS } from '../../contract/limits.ts';
import type { QueryPort, StoredRow, TokenClaims } from '../../core/queries.ts';
import type { Identity } from '../identities.ts';

/**
 * `POST /get-messages` (rule H6).
 * @param gone whether nobody waits for the answer any more
 */
export async function recent(
  queries: QueryPort,
  { user, claims }: Identity,
  { before, limit = LIMITS.recentMessages }: z.infer<typeof http.recentRequest>,
  gone: () => boolean,
): Promise<z.infer<typeof http.recentAnswer>> {
  const [{ users }, { rows, nextBefore }] = await Promise.all([
    queries.ask('users', { prefix: '', except: user, limit: LIMITS.recentUsers + 1 }, claims),
    newestRows(queries, user, claims, before, limit, gone),
  ]);
  // Keys are user ids, and may be any text: an object without a prototype has no special ones.
  const conversations: Record<string, z.infer<typeof http.storedMessage>[]> = Object.create(null);
  for (const [id, sender, receiver, message, timestamp] of rows.reverse()) {
    const other = sender === user ? receiver : sender;
    conversations[other] ??= [];
    conversations[other].push({ sender, receiver, message, timestamp, id });
  }
  return {
    conversations,
    users: users.slice(0, LIMITS.recentUsers) as string[],
    ...(nextBefore !== undefined && { next_before: nextBefore }),
    ...(users.length > LIMITS.recentUsers && { users_truncated: true }),
  };
}

/** The newest rows, newest first, gathered from as many answers as the bus needs to carry them. */
async function newestRows(
  queries: QueryPort,
  user: string,
  claims: TokenClaims | undefined,
  before: number | undefined,
  limit: number,
  gone: () => boolean,
): Promise<{ rows: StoredRow[]; nextBefore: number | undefined }> {
  const rows: StoredRow[] = [];
  let units = 0;
  for (let from = before; ; ) {
    const params = { user, limit: limit - rows.length, ...(from !== undefined && { before: from }) };
    const page = await queries.ask('recent', params, claims);
    for (const row of page.rows) units += row[3].length;
    rows.push(...page.rows);
    if (!page.more || gone()) return { rows, nextBefore: undefined };
    from = rows.at(-1)?.[0] as number;
    if (rows.length >= limit || units >= LIMITS.recentUnits) return { rows, nextBefore: from };
  }
}

/** `GET /history` (rule H8), as JSON text: the store's frames are passed on as they are. */
export async function history(
  queries: QueryPort,
  { user, claims }: Identity,
  { with: peer, before, limit }: z.infer<typeof http.historyQuery>,
): Promise<string> {
  const page = await queries.ask(
    'history',
    { user, peer, limit, ...(before !== undefined && { before }) },
    claims,
  );
  return `{"messages":[${page.frames.join(',')}],"next_before":${page.nextBefore}}`;
}

/** `GET /conversations` (rule H9). */
export async function conversations(
  queries: QueryPort,
  { user, claims }: Identity,
  { before, limit }: z.infer<typeof http.conversationsQuery>,
): Promise<z.infer<typeof http.conversationsAnswer>> {
  const page = await queries.ask(
    'conversations',
    { user, limit, ...(before !== undefined && { before }) },
    claims,
  );
  return { conversations: [...page.conversations], next_before: page.nextBefore };
}

/** `GET /users` (rule H10). */
export async function users(
  queries: QueryPort,
  { user, claims }: Identity,
  { prefix, limit }: z.infer<typeof http.usersQuery>,
): Promise<z.infer<typeof http.usersAnswer>> {
  const page = await queries.ask('users', { prefix, except: user, limit }, claims);
  return { users: [...page.users] };
}
