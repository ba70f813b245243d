export { ERRORS, type ErrorCode } from '../contract/errors.ts';
export { LIMITS } from '../contract/limits.ts';
export { uuidv7Generator } from '../contract/uuidv7.ts';
export { type BackoffOptions, backoffMs } from './backoff.ts';
export { createClient } from './client.ts';
export { type Clock, systemClock } from './clock.ts';
export { ClientError, type ClientErrorCode } from './errors.ts';
export { type KeyValueStorage, memoryStorage, type WebStorageLike, webStorage } from './storage.ts';
export {
  defaultTransport,
  type HttpAnswer,
  type HttpRequest,
  type Socket,
  type SocketEvents,
  type Transport,
} from './transport.ts';
export type {
  Client,
  ClientEvents,
  ClientOptions,
  ConnectionState,
  Cursor,
  Listener,
  OutboxChange,
  OutboxEntry,
  PageRequest,
  Session,
  SessionChange,
} from './types.ts';
export type {
  ConversationSummary,
  ConversationsPage,
  HistoryPage,
  Message,
  Presence,
  ReadMark,
} from './wire.ts';
