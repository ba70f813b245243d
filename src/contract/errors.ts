/**
 * The closed set of errors that a client can meet: in an HTTP body, in an `error` frame, or as a WebSocket close.
 * `retryable` says whether the same request may succeed later without a change.
 */
type ErrorInfo = { readonly status: number; readonly retryable: boolean; readonly text: string };

const info = (status: number, text: string, retryable = false): ErrorInfo => ({ status, retryable, text });

export const ERRORS = {
  invalid_json: info(400, 'Invalid JSON'),
  invalid_request: info(400, 'The request is not valid.'),
  missing_credentials: info(400, 'Missing user_id or password'),
  missing_user: info(400, "Missing 'user_id'"),
  invalid_user_id: info(
    400,
    'A user_id has 1 to 64 characters, no control or invisible ones, no space at either end, and is NFC-normalised.',
  ),
  invalid_password: info(400, 'The password is too short or longer than 256 characters.'),
  invalid_credentials: info(401, 'Invalid credentials.'),
  unauthorized: info(401, 'A valid token is needed: log in and send it.'),
  token_expired: info(401, 'The token has expired: log in again.'),
  token_revoked: info(401, 'The token is no longer valid: log in again.'),
  forbidden: info(403, 'The token belongs to another user.'),
  origin_not_allowed: info(403, 'This origin is not allowed.'),
  unknown_user: info(404, 'There is no such user.'),
  not_found: info(404, 'There is nothing at this address.'),
  method_not_allowed: info(405, 'This address does not answer that method.'),
  request_timeout: info(408, 'The request took too long to arrive.', true),
  user_exists: info(409, 'User ID already exists.'),
  client_id_conflict: info(409, 'This client_id was used for another message.'),
  request_too_large: info(413, 'The request body is larger than 16 KiB.'),
  upgrade_required: info(426, 'This address speaks WebSocket.'),
  unsupported_subprotocol: info(400, 'None of the offered subprotocols is known: offer parley.v1, or none.'),
  rate_limited: info(429, 'Too many requests: slow down.', true),
  invalid_message: info(400, 'A message is a well-formed text of 1 to 8,000 UTF-16 units.'),
  invalid_frame: info(400, 'The frame is not valid.'),
  unknown_type: info(400, 'The frame has an unknown type.'),
  not_connected: info(400, 'Send a connect frame first.'),
  already_connected: info(400, 'This socket is connected already.'),
  too_many_sockets: info(429, 'This user has too many open sockets.', true),
  connect_timeout: info(408, 'No connect frame came in time.', true),
  slow_consumer: info(503, 'This socket reads too slowly: reconnect and catch up.', true),
  overloaded: info(503, 'Too many messages are waiting: try again shortly.', true),
  unavailable: info(503, 'The server cannot do this now: try again shortly.', true),
  shutting_down: info(503, 'This server is restarting: reconnect.', true),
  internal: info(500, 'Something went wrong on our side.', true),
} as const satisfies Record<string, ErrorInfo>;

export type ErrorCode = keyof typeof ERRORS;

export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ERRORS, code);

/**
 * WebSocket close codes (RFC 6455; 4000–4999 are the application's). A client reconnects after those marked retryable.
 */
export const CLOSE = {
  /** Frame of the wrong kind (binary). */
  unsupported: { code: 1003, retryable: false },
  /** 1009 is sent by the WebSocket library itself for a frame over the limit. */
  tooLarge: { code: 1009, retryable: false },
  /** The server restarts or drains. */
  restart: { code: 1012, retryable: true },
  /** The server cannot serve now. */
  tryLater: { code: 1013, retryable: true },
  badRequest: { code: 4400, retryable: false },
  unauthorized: { code: 4401, retryable: false },
  forbidden: { code: 4403, retryable: false },
  unknownUser: { code: 4404, retryable: false },
  connectTimeout: { code: 4408, retryable: true },
  rateLimited: { code: 4429, retryable: true },
  tooManySockets: { code: 4430, retryable: true },
  slowConsumer: { code: 4431, retryable: true },
} as const satisfies Record<string, { code: number; retryable: boolean }>;

export type CloseReason = keyof typeof CLOSE;

/** An error on its way to a client. `message` may say more than the code's own sentence. */
export class ParleyError extends Error {
  readonly code: ErrorCode;
  /** Seconds after which a retry makes sense, if known. */
  readonly retryAfterS: number | undefined;

  constructor(code: ErrorCode, message: string = ERRORS[code].text, retryAfterS?: number) {
    super(message);
    this.name = 'ParleyError';
    this.code = code;
    this.retryAfterS = retryAfterS;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}
