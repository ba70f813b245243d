import { z } from 'zod';
import { ERRORS, type ErrorCode } from './errors.ts';
import { LIMITS } from './limits.ts';
import { clientId, epoch, messageId, messageText, peerId, timestamp, token, userId } from './values.ts';

/*
 * Every WebSocket frame, once: these schemas validate, type and document (documents.ts). Unknown fields are ignored.
 */

// ---- client → server -------------------------------------------------------------------------------------------

export const connectFrame = z
  .object({
    type: z.literal('connect'),
    user_id: userId,
    token: token.optional(),
    since: messageId
      .optional()
      .meta({ description: 'Last message id that the client has: all later messages follow' }),
    epoch: epoch.optional().meta({ description: 'The epoch that `since` belongs to' }),
  })
  .meta({ id: 'Connect', description: 'First frame of every socket' });

export const sendFrame = z
  .object({
    type: z.literal('message'),
    to: userId,
    message: messageText,
    client_id: clientId.optional(),
  })
  .meta({ id: 'Send', description: 'Send a message' });

export const readFrame = z.object({ type: z.literal('read'), with: peerId, id: messageId }).meta({
  id: 'MarkRead',
  description: 'Marks the conversation with `with` as read up to `id` (parley.v1)',
});

export const typingFrame = z
  .object({ type: z.literal('typing'), to: userId })
  .meta({ id: 'Typing', description: 'The user is typing to `to`; forget it after 6 s (parley.v1)' });

export const watchFrame = z
  .object({ type: z.literal('watch'), users: z.array(userId).max(LIMITS.watchedUsers) })
  .meta({
    id: 'Watch',
    description: 'Replaces the set of users whose presence this socket follows (parley.v1)',
  });

export const pingFrame = z
  .object({ type: z.literal('ping') })
  .meta({ id: 'Ping', description: 'Answered by `pong` (parley.v1)' });

export const basicClientFrame = z.discriminatedUnion('type', [connectFrame, sendFrame]);
export const clientFrame = z.discriminatedUnion('type', [
  connectFrame,
  sendFrame,
  readFrame,
  typingFrame,
  watchFrame,
  pingFrame,
]);

export type ConnectFrame = z.infer<typeof connectFrame>;
export type SendFrame = z.infer<typeof sendFrame>;
export type ClientFrame = z.infer<typeof clientFrame>;

// ---- server → client -------------------------------------------------------------------------------------------

export const messageFrame = z
  .object({
    from: peerId,
    to: peerId,
    message: z.string(),
    type: z.literal('message'),
    id: messageId,
    timestamp,
    client_id: clientId.optional(),
    repeat: z
      .literal(true)
      .optional()
      .meta({ description: 'This answers a repeated send; it is not a delivery' }),
  })
  .meta({ id: 'Message', description: 'A stored message. For its sender, it is the acknowledgement' });

export const errorFrame = z
  .object({
    type: z.literal('error'),
    code: z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]),
    error: z.string(),
    retryable: z.boolean(),
    client_id: clientId.optional(),
  })
  .meta({ id: 'Error', description: 'Answers a frame that was refused' });

export const connectedFrame = z
  .object({
    type: z.literal('connected'),
    user_id: userId,
    epoch,
    head: messageId.meta({ description: 'Newest message id of the server. Live messages have larger ids' }),
    resync: z.boolean().meta({
      description:
        'The client is ahead of the database, or has another epoch: discard local history and load it again',
    }),
    heartbeat_ms: z.int().meta({ description: 'Interval of the server WebSocket pings, in milliseconds' }),
    limits: z.object({ message_units: z.int(), frame_bytes: z.int(), unanswered: z.int() }),
  })
  .meta({ id: 'Connected', description: 'First frame after a successful connect (parley.v1)' });

export const pageFrame = z
  .object({
    type: z.literal('page'),
    messages: z.array(messageFrame),
    upto: messageId.meta({ description: 'Everything up to this id has been delivered: a valid `since`' }),
    more: z.boolean().meta({ description: 'False on the last page: live messages follow' }),
  })
  .meta({ id: 'Page', description: 'One page of catch-up (parley.v1)' });

export const readMarkFrame = z
  .object({ type: z.literal('read'), user: userId, with: peerId, id: messageId })
  .meta({ id: 'Read', description: '`user` has read the conversation with `with` up to `id` (parley.v1)' });

export const typingNoticeFrame = z
  .object({ type: z.literal('typing'), from: userId })
  .meta({ id: 'TypingNotice', description: '`from` is typing to you (parley.v1)' });

export const presenceFrame = z
  .object({ type: z.literal('presence'), online: z.array(userId), offline: z.array(userId) })
  .meta({
    id: 'Presence',
    description: 'Changes among the watched users. The first frame after `watch` names them all (parley.v1)',
  });

export const closingFrame = z
  .object({
    type: z.literal('closing'),
    code: z.string(),
    error: z.string(),
    reconnect_after_ms: z
      .int()
      .nullable()
      .meta({ description: 'Wait this long before you reconnect. Null: do not reconnect without a change' }),
  })
  .meta({ id: 'Closing', description: 'The server is about to close this socket (parley.v1)' });

export const pongFrame = z
  .object({ type: z.literal('pong') })
  .meta({ id: 'Pong', description: 'Answer to `ping`' });

export const serverFrame = z.discriminatedUnion('type', [
  messageFrame,
  errorFrame,
  connectedFrame,
  pageFrame,
  readMarkFrame,
  typingNoticeFrame,
  presenceFrame,
  closingFrame,
  pongFrame,
]);

export type MessageFrame = z.infer<typeof messageFrame>;
export type ServerFrame = z.infer<typeof serverFrame>;
export type ConnectedFrame = z.infer<typeof connectedFrame>;
export type PageFrame = z.infer<typeof pageFrame>;
