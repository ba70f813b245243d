import { ERRORS, type ErrorCode, isErrorCode } from '../contract/errors.ts';
import type { Clock } from './clock.ts';
import { ClientError, endsSession } from './errors.ts';
import type { HttpAnswer, Transport } from './transport.ts';
import type { Session } from './types.ts';
import type { ConversationsPage, HistoryPage } from './wire.ts';

export type HttpOptions = {
  /** Ends with a slash. */
  readonly base: URL;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** An answer said that this session is over. */
  readonly ended: (session: Session, because: ClientError) => void;
};

type Query = Readonly<Record<string, string | number | undefined>>;
type Request = {
  readonly query?: Query;
  readonly body?: unknown;
  readonly session?: Session;
  /** Whether it is sent even if the page goes away at once. */
  readonly keepalive?: boolean;
};
type Grant = { token?: string; expires_at?: string };

/** The HTTP half of the contract. One request, one answer: the caller decides what is worth a retry. */
export class Http {
  readonly #options: HttpOptions;
  /** Requests that are under way and change nothing. */
  readonly #reads = new Set<AbortController>();

  constructor(options: HttpOptions) {
    this.#options = options;
  }

  async register(user_id: string, password: string): Promise<void> {
    const answer = await this.#request('POST', 'register', { body: { user_id, password } });
    if (typeof answer.message !== 'string') throw new ClientError('bad_answer');
  }

  async login(user_id: string, password: string): Promise<Session> {
    return granted(user_id, await this.#request('POST', 'login', { body: { user_id, password } }));
  }

  async logout(session: Session, everywhere: boolean): Promise<void> {
    const body = { user_id: session.user_id, everywhere };
    await this.#request('POST', 'logout', { session, body, keepalive: true });
  }

  async changePassword(session: Session, current_password: string, new_password: string): Promise<Session> {
    const body = { user_id: session.user_id, current_password, new_password };
    return granted(session.user_id, await this.#request('POST', 'change-password', { session, body }));
  }

  async conversations(session: Session, query: Query): Promise<ConversationsPage> {
    const answer = await this.#request('GET', 'conversations', { session, query });
    if (!Array.isArray(answer.conversations)) throw new ClientError('bad_answer');
    return answer as ConversationsPage;
  }

  async history(session: Session, query: Query): Promise<HistoryPage> {
    const answer = await this.#request('GET', 'history', { session, query });
    if (!Array.isArray(answer.messages)) throw new ClientError('bad_answer');
    return answer as HistoryPage;
  }

  async users(session: Session, query: Query): Promise<string[]> {
    const { users } = await this.#request('GET', 'users', { session, query });
    if (!Array.isArray(users)) throw new ClientError('bad_answer');
    return users;
  }

  /** Nobody reads on. What is to change something is seen through: a logout may be the last that a client is told. */
  endReads(because: ClientError): void {
    for (const read of this.#reads) read.abort(because);
  }

  async #request(
    method: 'GET' | 'POST',
    path: string,
    { query, body, session, keepalive = false }: Request,
  ): Promise<Record<string, unknown>> {
    const url = new URL(path, this.#options.base);
    // An open server takes the user from here; one with tokens only compares (A2).
    if (session !== undefined && method === 'GET') url.searchParams.set('user_id', session.user_id);
    for (const [name, value] of Object.entries(query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const headers: Record<string, string> = {};
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    if (session?.token !== undefined) headers.Authorization = `Bearer ${session.token}`;

    const abort = new AbortController();
    const cancel = this.#options.clock.after(this.#options.timeoutMs, () =>
      abort.abort(new ClientError('timeout')),
    );
    if (method === 'GET') this.#reads.add(abort);
    try {
      const response = await this.#options.transport.fetch(url.href, {
        method,
        headers,
        signal: abort.signal,
        keepalive,
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const answer = parse(await response.text());
      // A transport of one's own may not heed the signal. What has changed something is told all the same.
      if (method === 'GET') abort.signal.throwIfAborted();
      if (!response.ok) throw failure(response, answer);
      if (answer === null) throw new ClientError('bad_answer');
      return answer;
    } catch (error) {
      const known = error instanceof ClientError ? error : unreachable(abort.signal, error);
      if (session !== undefined && endsSession(known.code)) this.#options.ended(session, known);
      throw known;
    } finally {
      cancel();
      this.#reads.delete(abort);
    }
  }
}

/** A server with sessions gives a token. An open one says no more than that it was good. */
function granted(user_id: string, answer: Record<string, unknown>): Session {
  if (typeof answer.token !== 'string' && typeof answer.message !== 'string')
    throw new ClientError('bad_answer');
  const { token, expires_at } = answer as Grant;
  return { user_id, ...(token !== undefined && { token }), ...(expires_at !== undefined && { expires_at }) };
}

/** A body that is not JSON is judged by its status; one that breaks off, or did not come in time, is not judged at all. */
function parse(body: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

const unreachable = ({ aborted, reason }: AbortSignal, cause: unknown): ClientError =>
  aborted ? reason : new ClientError('network', undefined, { cause });

function failure(response: HttpAnswer, answer: Record<string, unknown> | null): ClientError {
  const text = typeof answer?.error === 'string' ? answer.error : undefined;
  const seconds = Number(response.headers.get('Retry-After') ?? Number.NaN);
  return new ClientError(codeOf(response.status, answer?.code, text), text, {
    retryAfterMs: Number.isFinite(seconds) ? seconds * 1_000 : undefined,
  });
}

/** An open server's errors have a sentence and no code (H2), and a proxy's have neither. */
function codeOf(status: number, code: unknown, text: string | undefined): ErrorCode | 'bad_answer' {
  if (typeof code === 'string' && isErrorCode(code)) return code;
  const codes = Object.keys(ERRORS) as ErrorCode[];
  const byText = codes.find((known) => ERRORS[known].text === text);
  if (byText !== undefined) return byText;
  if (status === 429) return 'rate_limited';
  if (status === 404) return 'not_found';
  if (status === 413) return 'request_too_large';
  if (status >= 500) return 'unavailable';
  return status >= 400 ? 'invalid_request' : 'bad_answer';
}
