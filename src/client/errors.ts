import { ERRORS, type ErrorCode, isErrorCode } from '../contract/errors.ts';

/** The README lists them. */
export const LOCAL = {
  network: { text: 'The server could not be reached.', retryable: true },
  timeout: { text: 'The server did not answer in time.', retryable: true },
  bad_answer: { text: 'The answer does not come from a Parley server.', retryable: false },
  connection_lost: { text: 'The connection was lost.', retryable: true },
  no_session: { text: 'Log in first.', retryable: false },
  outbox_full: {
    text: 'Too many messages wait to be sent: wait until some are, or discard some.',
    retryable: true,
  },
  discarded: { text: 'The message was discarded.', retryable: false },
  disconnected: { text: 'The client is offline until connect() is called.', retryable: false },
  logged_out: { text: 'The user logged out before the server had answered.', retryable: false },
  closed: { text: 'The client was closed.', retryable: false },
} as const;

/** Codes for failures before a server was asked, or when none answers. */
export type LocalErrorCode = keyof typeof LOCAL;
/** The contract's codes, and the client's own. */
export type ClientErrorCode = ErrorCode | LocalErrorCode;

export const isClientErrorCode = (code: string): code is ClientErrorCode =>
  isErrorCode(code) || Object.hasOwn(LOCAL, code);

/** Whether the session is over: its token is no longer valid, and another connect with it is pointless. */
export const endsSession = (code: ClientErrorCode): boolean =>
  code === 'unauthorized' || code === 'token_expired' || code === 'token_revoked';

/** The only kind of error that this package throws and rejects with. */
export class ClientError extends Error {
  readonly code: ClientErrorCode;
  /** Whether the same call may succeed later without a change. */
  readonly retryable: boolean;
  /** How long to wait before trying again, if the server said so. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ClientErrorCode,
    text?: string,
    details: { retryable?: boolean; retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    const known = isErrorCode(code) ? ERRORS[code] : LOCAL[code];
    super(text ?? known.text, 'cause' in details ? { cause: details.cause } : undefined);
    this.name = 'ClientError';
    this.code = code;
    this.retryable = details.retryable ?? known.retryable;
    this.retryAfterMs = details.retryAfterMs;
  }
}
