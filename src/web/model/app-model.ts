import {
  type Client,
  ClientError,
  type ClientErrorCode,
  createClient,
  type Session,
} from '../../client/index.ts';
import { ChatStore } from './chat-store.ts';
import { Listenable } from './listenable.ts';
import { go } from './route.ts';
import { nameHere, SITE } from './site.ts';
import { holdsUnkept, onChange, ownTab, read, shared, write } from './storage.ts';

const KEY = nameHere('session');
const LOGGED_OUT_ELSEWHERE = 'You logged out in another tab.';
/** In this app's words: the contract's speak of a token. */
const ENDINGS: { readonly [code in ClientErrorCode]?: string } = {
  token_expired: 'Your session has expired. Log in again.',
  token_revoked: 'Your session has been ended. Log in again.',
  unauthorized: 'Log in again.',
};
/** After these, a request may have done its work all the same. */
const UNHEARD: readonly ClientErrorCode[] = ['timeout', 'network', 'unavailable', 'internal'];
const PERHAPS_NEW = 'The new password may already be the one that counts: if the old one is refused, try it.';
/** The token that this tab knows to be invalid. */
const ENDED = nameHere('ended');
/** The user whose conversation this tab's address names. */
const LAST_USER = nameHere('last-user');

export type View =
  | { readonly name: 'welcome'; readonly notice: string | null }
  | { readonly name: 'chat'; readonly store: ChatStore };

/**
 * Who is logged in, in all tabs of this browser. The session is in their shared storage, and each tab follows what the others do
 * with it.
 */
export class AppModel {
  readonly view: Listenable<View>;
  /** The session of the chat on the screen. The client forgets its own when that ends. */
  #session: Session | null = null;
  #lastUser = read(ownTab, LAST_USER);
  /** The name was registered here, but the login after it failed. */
  #registered: string | null = null;
  /** The name that this page tried to register without hearing whether it was: perhaps it is. */
  #attempted: string | null = null;
  /** The chat whose user has asked for a new password without hearing whether it was set. */
  #passwordUnheard: ChatStore | null = null;

  constructor() {
    const session = load();
    this.view = new Listenable<View>(
      session === null ? { name: 'welcome', notice: null } : this.#chat(session),
    );
    onChange(KEY, () => this.#follow(load()));
    // The browser asks before it leaves a page with messages that are stored nowhere else, even those of an ended session.
    window.addEventListener('beforeunload', (event) => {
      if (holdsUnkept()) event.preventDefault();
    });
  }

  /** @throws ClientError */
  async logIn(typed: string, password: string, options: { readonly register: boolean }): Promise<void> {
    const client = createClient({ url: SITE.href });
    try {
      // Some keyboards type an accent as a separate, invisible character, which a new name must not contain.
      const session = options.register
        ? await this.#register(client, typed.normalize(), password)
        : await client.login(typed, password).catch((error: unknown) => {
            // A name in an old database may be exactly as typed. Most lack the space that a phone adds after a word.
            const usual = typed.normalize().trim();
            if (usual === typed || !isUnknown(error)) throw error;
            return client.login(usual, password);
          });
      this.#registered = this.#attempted = null;
      save(session);
      this.#show(this.#chat(session));
    } finally {
      client.close();
    }
  }

  async logOut(options: { readonly everywhere: boolean }): Promise<void> {
    const view = this.view.value;
    if (view.name !== 'chat') return;
    const { client } = view.store;
    // The next login may be somebody else's.
    go(null);
    try {
      await client.logout(options);
    } catch (error) {
      // Whoever has logged in meanwhile, here or in another tab, stays.
      if (!options.everywhere || this.view.value.name !== 'welcome') return;
      const text = error instanceof ClientError ? error.message : '';
      this.#show({ name: 'welcome', notice: `Logged out here, but perhaps not elsewhere. ${text}` });
    }
  }

  /** @returns what is wrong; null once the new password counts */
  async changePassword(store: ChatStore, current: string, next: string): Promise<string | null> {
    try {
      await store.changePassword(current, next);
      this.#passwordUnheard = null;
      return null;
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      if (error.code === 'invalid_credentials') return 'The current password is wrong.';
      if (!UNHEARD.includes(error.code)) return error.message;
      this.#passwordUnheard = store;
      return `${error.message} ${PERHAPS_NEW}`;
    }
  }

  async #register(client: Client, userId: string, password: string): Promise<Session> {
    // After a failed login, a retry skips the registration: the name is taken now, by this very user.
    if (userId === this.#registered) return client.login(userId, password);
    try {
      await client.register(userId, password);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      if (error.retryable) this.#attempted = userId;
      if (error.code !== 'user_exists' || userId !== this.#attempted) throw error;
      // The answer to an earlier try may have been lost, not the try. Then the name is this very user's, as the password tells.
      return client.login(userId, password).catch((refused: unknown) => {
        throw isUnknown(refused) ? error : refused;
      });
    }
    this.#registered = userId;
    return client.login(userId, password);
  }

  #chat(session: Session): View {
    this.#session = session;
    const { user_id } = session;
    // The open conversation is the former user's. But an address that was opened before anybody logged in is intended.
    if (this.#lastUser !== null && this.#lastUser !== user_id) go(null);
    this.#lastUser = user_id;
    write(ownTab, LAST_USER, user_id);
    const store = new ChatStore({
      session,
      sessionChanged: (next, because) => {
        if (next === null) return this.#ended(store, because);
        this.#session = next;
        save(next);
      },
    });
    return { name: 'chat', store };
  }

  #ended(store: ChatStore, because: ClientError | undefined): void {
    const view = this.view.value;
    if (view.name !== 'chat' || view.store !== store) return;
    if (because === undefined) {
      write(shared, KEY, null);
      this.#show({ name: 'welcome', notice: null });
      return;
    }
    const stored = load();
    // Another tab has renewed the session meanwhile (a new password ends all sessions but its own), or is about to. So the shared
    // storage is left alone, and this tab remembers for itself that the token is invalid.
    if (stored !== null && !same(stored, this.#session)) this.#show(this.#chat(stored));
    else {
      write(ownTab, ENDED, this.#session?.token ?? null);
      // After a logout in another tab, the change of the shared storage tells it, if there is such a storage.
      const ending = ENDINGS[because.code] ?? because.message;
      const notice = store === this.#passwordUnheard ? `${ending} ${PERHAPS_NEW}` : ending;
      this.#show({ name: 'welcome', notice });
    }
  }

  #follow(stored: Session | null): void {
    if (stored === null) {
      const view = this.view.value;
      // The server may have reported the invalid token before the other tab's change arrived.
      if (view.name === 'chat' || view.notice !== null) {
        this.#show({ name: 'welcome', notice: LOGGED_OUT_ELSEWHERE });
      }
    } else if (!same(stored, this.#session)) {
      this.#show(this.#chat(stored));
    }
  }

  #show(view: View): void {
    const before = this.view.value;
    this.view.set(view);
    if (view.name === 'welcome') this.#session = null;
    if (before.name === 'chat') before.store.close();
  }
}

const isUnknown = (error: unknown): boolean =>
  error instanceof ClientError && error.code === 'invalid_credentials';

const same = (a: Session, b: Session | null): boolean => a.user_id === b?.user_id && a.token === b.token;

function load(): Session | null {
  try {
    const value: unknown = JSON.parse(read(shared, KEY) ?? 'null');
    if (typeof value !== 'object' || value === null) return null;
    const { user_id, token, expires_at } = value as Record<string, unknown>;
    if (typeof user_id !== 'string') return null;
    if (typeof token === 'string' && token === read(ownTab, ENDED)) return null;
    return {
      user_id,
      ...(typeof token === 'string' && { token }),
      ...(typeof expires_at === 'string' && { expires_at }),
    };
  } catch {
    return null;
  }
}

const save = (session: Session): void => write(shared, KEY, JSON.stringify(session));
