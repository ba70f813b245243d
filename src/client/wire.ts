/**
 * What crosses the wire, as plain types. They are written out, not inferred from the contract's schemas, so that the
 * package's declarations need no validator; a test holds both equal.
 */
import type { ErrorCode } from '../contract/errors.ts';

/** A stored message. `id` ascends in commit order; `timestamp` is UTC, `YYYY-MM-DD HH:MM:SS`. */
export type Message = {
  type: 'message';
  from: string;
  to: string;
  message: string;
  id: number;
  timestamp: string;
  client_id?: string | undefined;
  /** This answers a send that was already stored; it is not a delivery. */
  repeat?: true | undefined;
};

export type ErrorNotice = {
  type: 'error';
  code: ErrorCode;
  error: string;
  retryable: boolean;
  client_id?: string | undefined;
};

export type Connected = {
  type: 'connected';
  user_id: string;
  epoch: string;
  head: number;
  resync: boolean;
  heartbeat_ms: number;
  limits: { message_units: number; frame_bytes: number; unanswered: number };
};

export type Page = { type: 'page'; messages: Message[]; upto: number; more: boolean };
export type ReadMark = { type: 'read'; user: string; with: string; id: number };
export type TypingNotice = { type: 'typing'; from: string };
export type Presence = { type: 'presence'; online: string[]; offline: string[] };
export type Closing = { type: 'closing'; code: string; error: string; reconnect_after_ms: number | null };
export type Pong = { type: 'pong' };

export type ServerFrame =
  | Message
  | ErrorNotice
  | Connected
  | Page
  | ReadMark
  | TypingNotice
  | Presence
  | Closing
  | Pong;

export type ConnectRequest = {
  type: 'connect';
  user_id: string;
  token?: string | undefined;
  since?: number | undefined;
  epoch?: string | undefined;
};
export type SendRequest = { type: 'message'; to: string; message: string; client_id?: string | undefined };

export type ClientFrame =
  | ConnectRequest
  | SendRequest
  | { type: 'read'; with: string; id: number }
  | { type: 'typing'; to: string }
  | { type: 'watch'; users: string[] }
  | { type: 'ping' };

export type HistoryPage = {
  /** Oldest first. */
  messages: Message[];
  /** Pass this as `before` to get the page before; null at the start of the conversation. */
  next_before: number | null;
};

export type ConversationSummary = {
  /** The other participant. */
  user: string;
  last_message: Message;
  /** Messages to you after your read marker; counted up to 1,000. */
  unread: number;
  /** You have read up to this id. */
  read: number;
  /** The other user has read up to this id. */
  peer_read: number;
};

export type ConversationsPage = {
  /** In order of their last message, newest first. */
  conversations: ConversationSummary[];
  next_before: number | null;
};
