import { z } from 'zod';
import { messageFrame } from './frames.ts';
import { LIMITS } from './limits.ts';
import { messageId, newUserId, password, peerId, timestamp, userId } from './values.ts';

/*
 * Every HTTP request and answer, once: these schemas validate, type and document (documents.ts).
 */

export const credentials = z.object({ user_id: newUserId, password });
/** Passwords of an older database may be longer than today's rule allows. */
const knownPassword = z.string().min(1).meta({ format: 'password' });
export const loginRequest = z.object({ user_id: userId, password: knownPassword });
export const registerAnswer = z.object({ message: z.literal('User registered successfully.') });
export const loginAnswer = z.object({
  message: z.literal('Login successful.'),
  token: z.string().optional().meta({ description: 'Absent in AUTH=open' }),
  expires_at: z.string().optional().meta({ description: 'ISO 8601; absent in AUTH=open' }),
});

export const recentRequest = z.object({
  user_id: userId,
  before: messageId.optional().meta({ description: 'Only messages older than this id' }),
  limit: z.int().min(1).max(LIMITS.recentMessages).optional(),
});
/** The seed's shape of a stored message. `id` is beyond the seed. */
export const storedMessage = z.object({
  sender: peerId,
  receiver: peerId,
  message: z.string(),
  timestamp,
  id: messageId,
});
export const recentAnswer = z.object({
  conversations: z.record(z.string(), z.array(storedMessage)),
  users: z.array(userId),
  next_before: messageId.optional().meta({ description: 'There are older messages: pass this as `before`' }),
  users_truncated: z.literal(true).optional().meta({ description: 'There are more users: use GET /users' }),
});

/** In AUTH=open this names the user; in AUTH=required the token does, and this must agree if it is given. */
const asUser = { user_id: userId.optional().meta({ description: 'Required in AUTH=open' }) };
export const asUserRequest = z.object(asUser);

/** The body may be left out, which is the common call. */
export const logoutRequest = z.object({ ...asUser, everywhere: z.boolean().optional() });
export const logoutAnswer = z.object({ message: z.literal('Logged out.') });

export const changePasswordRequest = z.object({
  ...asUser,
  current_password: knownPassword,
  new_password: password,
});
export const changePasswordAnswer = z.object({
  message: z.literal('Password changed.'),
  token: z.string().optional(),
  expires_at: z.string().optional(),
});

/** Query strings carry numbers as text. */
const queryInt = (minimum: number, maximum: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(minimum).max(maximum))
    .meta({ type: 'integer', minimum, maximum });

/** The length of a page. zod omits the default of a transformed value from the documents, so the description states it. */
const pageLimit = (standard: number, most: number) =>
  queryInt(1, most)
    .default(standard)
    .meta({ description: `Default: ${standard}` });

export const historyQuery = z.object({
  ...asUser,
  with: peerId,
  before: queryInt(0, Number.MAX_SAFE_INTEGER).optional(),
  limit: pageLimit(LIMITS.historyPage, LIMITS.historyPageMax),
});
export const historyAnswer = z.object({
  messages: z.array(messageFrame).meta({ description: 'Oldest first; fewer than `limit` if texts are long' }),
  next_before: messageId
    .nullable()
    .meta({ description: 'Pass this as `before` to get the page before; null at the start' }),
});

export const conversationsQuery = z.object({
  ...asUser,
  before: queryInt(0, Number.MAX_SAFE_INTEGER).optional(),
  limit: pageLimit(LIMITS.conversationsPage, LIMITS.conversationsPageMax),
});
export const conversationSummary = z.object({
  user: peerId,
  last_message: messageFrame,
  unread: z.int().meta({ description: 'Messages to you after your read marker; counted up to 1,000' }),
  read: messageId.meta({ description: 'You have read up to this id' }),
  peer_read: messageId.meta({ description: 'The other user has read up to this id' }),
});
export const conversationsAnswer = z.object({
  conversations: z.array(conversationSummary).meta({
    description:
      'Newest first; fewer than `limit` if last messages are very long, or very many messages are unread',
  }),
  next_before: messageId
    .nullable()
    .meta({ description: 'Pass this as `before` to get the next page; null at the end' }),
});

export const usersQuery = z.object({
  ...asUser,
  prefix: z.string().max(LIMITS.userIdLookupUnits).default(''),
  limit: pageLimit(LIMITS.usersPage, LIMITS.usersPageMax),
});
export const usersAnswer = z.object({ users: z.array(userId) });

export const errorAnswer = z.object({ error: z.string(), code: z.string().optional() });

/** What `/readyz` answers, ready or not; `checks` by name. */
export const readyAnswer = z.object({
  ready: z.boolean(),
  auth: z.enum(['required', 'open']),
  warning: z.string().optional(),
  checks: z.record(z.string(), z.object({ ok: z.boolean(), reason: z.string().optional() })),
});

type Route = {
  readonly method: 'get' | 'post';
  readonly path: string;
  readonly summary: string;
  /** A body that accepts `undefined` may be left out. */
  readonly body?: z.ZodType;
  readonly query?: z.ZodObject;
  readonly answer: z.ZodType;
  readonly auth: boolean;
  /** Statuses of errors (rule H2). */
  readonly errors: readonly number[];
  /** The body of a 503, if that is not an error of H2. */
  readonly unready?: z.ZodType;
};

/** The documented routes, in the order of the documents. */
export const ROUTES = [
  {
    method: 'post',
    path: '/register',
    summary: 'Register a user',
    body: credentials,
    answer: registerAnswer,
    auth: false,
    errors: [400, 408, 409, 413, 429, 503],
  },
  {
    method: 'post',
    path: '/login',
    summary: 'Log in',
    body: loginRequest,
    answer: loginAnswer,
    auth: false,
    errors: [400, 401, 408, 413, 429, 503],
  },
  {
    method: 'post',
    path: '/get-messages',
    summary: 'Get the newest messages by conversation, and the other users',
    body: recentRequest,
    answer: recentAnswer,
    auth: true,
    errors: [400, 401, 403, 408, 413, 429, 503],
  },
  {
    method: 'post',
    path: '/logout',
    summary: 'End this session, or all of them',
    body: logoutRequest.optional(),
    answer: logoutAnswer,
    auth: true,
    errors: [400, 401, 403, 408, 413, 503],
  },
  {
    method: 'post',
    path: '/change-password',
    summary: 'Change the password and end all other sessions',
    body: changePasswordRequest,
    answer: changePasswordAnswer,
    auth: true,
    errors: [400, 401, 403, 408, 413, 429, 503],
  },
  {
    method: 'get',
    path: '/conversations',
    summary: 'List conversations, newest first, with unread counts',
    query: conversationsQuery,
    answer: conversationsAnswer,
    auth: true,
    errors: [400, 401, 403, 429, 503],
  },
  {
    method: 'get',
    path: '/history',
    summary: 'Get one page of a conversation',
    query: historyQuery,
    answer: historyAnswer,
    auth: true,
    errors: [400, 401, 403, 429, 503],
  },
  {
    method: 'get',
    path: '/users',
    summary: 'Find users by prefix',
    query: usersQuery,
    answer: usersAnswer,
    auth: true,
    errors: [400, 401, 403, 429, 503],
  },
  {
    method: 'get',
    path: '/livez',
    summary: 'Check whether the process answers',
    answer: z.object({ live: z.literal(true) }),
    auth: false,
    errors: [],
  },
  {
    method: 'get',
    path: '/readyz',
    summary: 'Check whether sends and deliveries work',
    answer: readyAnswer,
    auth: false,
    errors: [],
    unready: readyAnswer,
  },
] as const satisfies readonly Route[];
