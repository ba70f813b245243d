import type { z } from 'zod';
import type { Semaphore } from '../../base/semaphore.ts';
import { ParleyError } from '../../contract/errors.ts';
import type * as http from '../../contract/http.ts';
import { LIMITS } from '../../contract/limits.ts';
import type { QueryPort, StoredRow, TokenClaims } from '../../core/queries.ts';
import type { Identity } from '../identities.ts';

type RecentRequest = z.infer<typeof http.recentRequest>;

/**
 * `POST /get-messages` (rule H6), as JSON text.
 * @param gone whether nobody waits for the answer any more
 * @param longAnswers places for answers that are longer than one page of the store's: they are in memory while they are made.
 *   One that waits for a place keeps nothing meanwhile, since thousands may wait. It is begun anew.
 * @throws ParleyError unavailable, which nobody hears, if the client has left meanwhile; those of the queries
 */
export async function recent(
  queries: QueryPort,
  identity: Identity,
  request: RecentRequest,
  gone: () => boolean,
  longAnswers: Semaphore,
): Promise<Buffer> {
  const make = (pages: number) => recentOf(queries, identity, request, gone, pages);
  const short = longAnswers.full ? await make(1) : undefined;
  if (short !== undefined) return short;
  return longAnswers.run(async () => {
    if (gone()) throw new ParleyError('unavailable');
    return (await make(Number.POSITIVE_INFINITY)) as Buffer;
  });
}

/**
 * Each message is encoded as it arrives. Measured with 8 Mi units of text: encoding everything at the end blocked all clients for
 * 0.3 s, and used more than twice the memory while a slow client read it.
 * @returns undefined if it takes more than `pages` of the store's
 */
async function recentOf(
  queries: QueryPort,
  { user, claims }: Identity,
  { before, limit = LIMITS.recentMessages }: RecentRequest,
  gone: () => boolean,
  pages: number,
): Promise<Buffer | undefined> {
  // Newest first, each with a comma before it. Conversations are kept in the order of their oldest message so far.
  const conversations = new Map<string, Buffer[]>();
  const take = ([id, sender, receiver, message, timestamp]: StoredRow): void => {
    const stored: z.infer<typeof http.storedMessage> = { sender, receiver, message, timestamp, id };
    const other = sender === user ? receiver : sender;
    const messages = conversations.get(other) ?? [];
    messages.push(Buffer.from(`,${JSON.stringify(stored)}`));
    conversations.delete(other);
    conversations.set(other, messages);
  };
  const nextBefore = await takeNewest(queries, user, claims, before, limit, gone, pages, take);
  if (nextBefore === 'too long') return undefined;
  // Up to 10,000 ids: not read beside the messages, which may turn out to be too long.
  const others = { prefix: '', except: user, limit: LIMITS.recentUsers + 1 };
  const users = gone() ? [] : (await queries.ask('users', others, claims)).users;
  const rest: Omit<z.infer<typeof http.recentAnswer>, 'conversations'> = {
    users: users.slice(0, LIMITS.recentUsers),
    ...(nextBefore !== undefined && { next_before: nextBefore }),
    ...(users.length > LIMITS.recentUsers && { users_truncated: true }),
  };
  const parts: Buffer[] = [];
  for (const [other, messages] of [...conversations].reverse()) {
    const name = `${parts.length === 0 ? '' : ','}${JSON.stringify(other)}:[`;
    const [oldest, ...newer] = messages.reverse() as [Buffer, ...Buffer[]];
    parts.push(Buffer.from(name), oldest.subarray(1), ...newer, Buffer.from(']'));
  }
  const end = `},${JSON.stringify(rest).slice(1)}`;
  return Buffer.concat([Buffer.from('{"conversations":{'), ...parts, Buffer.from(end)]);
}

/**
 * Reads the newest rows, newest first, in as many queries as the size of the answers demands.
 * @returns the id before which older rows begin, if there are any; 'too long' if it takes more queries than `pages`
 */
async function takeNewest(
  queries: QueryPort,
  user: string,
  claims: TokenClaims | undefined,
  before: number | undefined,
  limit: number,
  gone: () => boolean,
  pages: number,
  take: (row: StoredRow) => void,
): Promise<number | 'too long' | undefined> {
  let taken = 0;
  let units = 0;
  let from = before;
  for (let read = 1; ; read++) {
    const params = { user, limit: limit - taken, ...(from !== undefined && { before: from }) };
    const page = await queries.ask('recent', params, claims);
    for (const row of page.rows) {
      units += row[3].length;
      take(row);
    }
    taken += page.rows.length;
    if (!page.more || gone()) return undefined;
    from = page.rows.at(-1)?.[0] as number;
    if (taken >= limit || units >= LIMITS.recentUnits) return from;
    if (read >= pages) return 'too long';
  }
}

/** `GET /history` (rule H8), as JSON text. The store's frames are passed on unchanged. */
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
