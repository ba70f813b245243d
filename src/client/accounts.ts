import { namedOptions } from './arguments.ts';
import type { Emitter } from './emitter.ts';
import { ClientError, endsSession } from './errors.ts';
import type { Http } from './http.ts';
import type { ClientEvents, Session } from './types.ts';

/** A user who is here: logged in, or about to log in again since the server has ended the session. */
export type Account = { readonly id: string; loggedOut: boolean };

/** What goes with the users of a client, one at a time. */
export type Users = {
  current(): Account | null;
  /** There is no other user. Does nothing for the one who is here. */
  begin(session: Session): void;
  /** Also without a user. A listener that is told of it may call anything. */
  leave(because: ClientError, forget: boolean): void;
  /**
   * Settles when former users have written or forgotten what they still had to. A storage that is read before that tells what
   * is no more.
   */
  atRest(): Promise<unknown>;
};

/** Who is logged in. Of several calls of `login` and `logout` the last one counts, however late the others are answered. */
export class Accounts {
  readonly #http: Http;
  readonly #emitter: Emitter<ClientEvents>;
  readonly #users: Users;
  #session: Session | null = null;
  /** The logout whose request is under way. */
  #revoking: { readonly everywhere: boolean; readonly done: Promise<void> } | null = null;
  /** Logins and logouts so far; the last of those that have taken effect; and the last logout. */
  #asked = 0;
  #effective = 0;
  #loggedOut = 0;
  /** Requests for a new password that are under way: of several at once, the server grants one. */
  #passwordChanges = 0;
  #closed = false;

  constructor(http: Http, emitter: Emitter<ClientEvents>, users: Users) {
    this.#http = http;
    this.#emitter = emitter;
    this.#users = users;
  }

  get session(): Session | null {
    return this.#session;
  }

  get closed(): boolean {
    return this.#closed;
  }

  needOpen(): void {
    if (this.#closed) throw new ClientError('closed');
  }

  needSession(): Session {
    this.needOpen();
    if (this.#session === null) throw new ClientError('no_session');
    return this.#session;
  }

  begin(session: Session): void {
    this.#session = session;
    this.#users.begin(session);
  }

  async login(userId: string, password: string): Promise<Session> {
    this.needOpen();
    const asked = ++this.#asked;
    // A logout everywhere that reaches the server after this login would end its session, too.
    if (this.#revoking?.everywhere) await this.#revoking.done.catch(() => {});
    this.needOpen();
    const session = await this.#http.login(userId, password);
    await this.#users.atRest();
    this.#needTurn(asked, session);
    const user = this.#users.current();
    if (user !== null && user.id !== userId) {
      this.#leave(new ClientError('logged_out'), false);
      // A listener that was told of it may have closed the client, or logged out: then nobody else comes in the user's place.
      if (!this.#closed && asked < this.#loggedOut) this.#emitter.emit('session', { session: null });
      this.#needTurn(asked, session);
    }
    this.#effective = Math.max(asked, this.#effective);
    this.begin(session);
    this.#emitter.emit('session', { session });
    return session;
  }

  async logout(options: { readonly everywhere?: boolean | undefined } | undefined): Promise<void> {
    const { everywhere = false } = namedOptions(options);
    this.#effective = this.#loggedOut = ++this.#asked;
    const session = this.#session;
    const user = this.#users.current();
    // The server may have ended the session already: then there is still what the user has not sent.
    if (user !== null) {
      user.loggedOut = true;
      // An open server has no sessions to end.
      this.#revoking =
        session?.token === undefined ? null : { everywhere, done: this.#revoke(session, everywhere) };
      this.#leave(new ClientError('logged_out'), true);
      this.#emitter.emit('session', { session: null });
    }
    const revoking = this.#revoking;
    try {
      await revoking?.done;
    } finally {
      if (this.#revoking === revoking) this.#revoking = null;
    }
    await this.#users.atRest();
    if (everywhere && session === null && !revoking?.everywhere) {
      this.needOpen();
      throw new ClientError('no_session', 'The other sessions of the user go on: log in to end them.');
    }
  }

  async changePassword(current: string, next: string): Promise<Session> {
    const before = this.needSession();
    const user = this.#users.current();
    // The server ends this session's socket, too, and may do so before it answers here.
    this.#passwordChanges += 1;
    try {
      const session = await this.#http.changePassword(before, current, next);
      if (user !== null && user === this.#users.current()) {
        // One that has begun meanwhile may have ended with the old password.
        this.#session = session;
        this.#emitter.emit('session', { session });
      } else if (user?.loggedOut) this.#drop(session);
      return session;
    } finally {
      this.#passwordChanges -= 1;
    }
  }

  /** Whether the end of this session is the end of the one that goes on here. */
  endsWith(session: Session): boolean {
    return session === this.#session && this.#passwordChanges === 0;
  }

  /** Whether this token has been replaced, or is about to be: that it has ended is no news. */
  outdated(token: string | undefined): boolean {
    return this.#passwordChanges > 0 || token !== this.#session?.token;
  }

  /** The server has ended the session. The user stays. */
  lost(): void {
    this.#session = null;
  }

  close(because: ClientError): void {
    this.#closed = true;
    this.#leave(because, false);
  }

  #leave(because: ClientError, forget: boolean): void {
    this.#session = null;
    this.#users.leave(because, forget);
  }

  /** @throws ClientError once the client is closed, or a later call has logged out, or another user in */
  #needTurn(asked: number, session: Session): void {
    const other = asked < this.#effective && session.user_id !== this.#users.current()?.id;
    const overtaken = other || asked < this.#loggedOut;
    if (!this.#closed && !overtaken) return;
    this.#drop(session);
    throw new ClientError(this.#closed ? 'closed' : 'logged_out');
  }

  /** Nobody will use this session. */
  #drop(session: Session): void {
    if (session.token !== undefined) void this.#revoke(session, false).catch(() => {});
  }

  #revoke(session: Session, everywhere: boolean): Promise<void> {
    return this.#http.logout(session, everywhere).catch((error: ClientError) => {
      // This session had ended already. The user's others go on.
      if (everywhere || !endsSession(error.code)) throw error;
    });
  }
}
