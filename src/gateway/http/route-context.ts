import type { LoginLimits } from '../../auth/login-limits.ts';
import type { Passwords } from '../../auth/passwords.ts';
import type { Semaphore } from '../../base/semaphore.ts';
import type { ErrorCode, ParleyError } from '../../contract/errors.ts';
import type { Command, Outcome } from '../../core/commands.ts';
import type { QueryPort } from '../../core/queries.ts';
import type { Logger } from '../../ops/logger.ts';
import type { Identities } from '../identities.ts';
import type { Readiness } from '../readiness.ts';
import type { Turns } from '../turns.ts';

/** What the HTTP routes need of their gateway. */
export interface RouteContext {
  readonly identities: Identities;
  readonly queries: QueryPort;
  readonly turns: Turns;
  /** Places for long answers that are being made, over all users. */
  readonly longAnswers: Semaphore;
  readonly passwords: Passwords;
  readonly limits: LoginLimits;
  readonly readiness: Readiness;
  readonly passwordMinLength: number;
  readonly log: Logger;
  readonly draining: boolean;
  /** Has the writer execute a command. @throws ParleyError if it is refused */
  command(command: Command): Promise<Exclude<Outcome, { kind: 'refused' }>>;
  /** Logs a bug, and returns the error for the client. */
  unexpected(error: unknown, requestId?: string): ParleyError;
  refused(code: ErrorCode): void;
  loggedIn(result: 'ok' | 'failed'): void;
}
