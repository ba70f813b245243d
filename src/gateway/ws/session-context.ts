import type { Clock } from '../../base/clock.ts';
import type { ErrorCode, ParleyError } from '../../contract/errors.ts';
import type { ServerFrame } from '../../contract/frames.ts';
import type { CommandSink } from '../../core/commands.ts';
import type { QueryPort } from '../../core/queries.ts';
import type { Feeds } from '../feeds.ts';
import type { Identities } from '../identities.ts';
import type { PendingShares } from '../pending-shares.ts';
import type { Presence } from '../presence.ts';
import type { Turns } from '../turns.ts';
import type { Backlogs } from './backlogs.ts';
import type { WriteBatcher } from './write-batcher.ts';

/** What a session needs of its gateway. */
export interface SessionContext {
  readonly clock: Clock;
  readonly identities: Identities;
  readonly feeds: Feeds;
  readonly queries: QueryPort;
  readonly turns: Turns;
  readonly commands: CommandSink;
  readonly shares: PendingShares;
  readonly presence: Presence;
  readonly writes: WriteBatcher;
  readonly backlogs: Backlogs;
  readonly rateLimits: boolean;
  /** True when no new work is accepted. */
  readonly draining: boolean;
  /** A client_id for a send that came without one. Ascending. */
  nextClientId(): string;
  /** Forwards a signal to a user's sockets, if the user is online. */
  signal(user: string, frame: ServerFrame): void;
  /** Logs a bug, and returns the error for the client. */
  unexpected(error: unknown): ParleyError;
  opened(): void;
  /** A send was accepted. */
  accepted(): void;
  /** Messages were written to a socket. */
  delivered(messages: number): void;
  refused(code: ErrorCode): void;
  overflowed(kind: 'unsent' | 'untaken'): void;
  ended(session: object): void;
}
