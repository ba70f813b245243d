import { ClientError, type ClientErrorCode, createClient, type Session } from '../../client/index.ts';
import { ChatStore } from './chat-store.ts';
import { Listenable } from './listenable.ts';
import { go } from './route.ts';
import { nameHere, SITE } from './site.ts';
import { holdsUnkept, onChange, ownTab, read, shared, write } from './storage.ts';

const KEY = nameHere('session');
const LOGGED_OUT_ELSEWHERE = 'You logged out in another tab.';
/** In words of this app: the contract's are about a token. */
const ENDINGS: { readonly [code in ClientErrorCode]?: string } = {
  token_expired: 'Your session has expired. Log in again.',
  token_revoked: 'Your session has been ended. Log in again.',
  unauthorized: 'Log in again.',
};
/** The token that this tab knows to be dead. */
const ENDED = nameHere('ended');
/** Whose conversation this tab's address names. */
const LAST_USER = nameHere('last-user');

export type View =
  | { readonly name: 'welcome'; readonly notice: string | null }
  | { readonly name: 'chat'; readonly store: ChatStore };

/**
 * Who is logged in, in all tabs of this browser: the session lies in their shared storage, and each tab follows what
 * the others do with it.
 */
export class AppModel {
  readonly view: Listenable<View>;
  /** That of the chat on the screen; the client forgets its own when it ends. */
  #session: Session | null = null;
  #lastUser = read(ownTab, LAST_USER);
  /** Registered here, but the login that goes with it failed. */
  #registered: string | null = null;

  constructor() {
    const session = load();
    this.view = new Listenable<View>(
      session === null ? { name: 'welcome', notice: null } : this.#chat(session),
    );
    onChange(KEY, () => this.#follow(load()));
    // The browser asks whether to leave a page that holds what is nowhere else, be it for a session that has ended.
    window.addEventListener('beforeunload', (event) => {
      if (holdsUnkept()) event.preventDefault();
    });
  }

  /** @throws ClientError */
  async logIn(typed: string, password: string, options: { readonly register: boolean }): Promise<void> {
    const client = createClient({ url: SITE.href });
    // Some keyboards write an accent as a character of its own, which nobody can see: no new name may have one.
    const userId = options.register ? typed.normalize() : typed;
    try {
      // Who tries again after that goes on where it failed: the name is taken now, by themselves.
      if (options.register && userId !== this.#registered) {
        await client.register(userId, password);
        this.#registered = userId;
      }
      const session = await client.login(userId, password).catch((error: unknown) => {
        // A name of an old database may be just as it was typed. Most are without the space that a phone puts behind a word.
        const usual = typed.normalize().trim();
        const unknown = error instanceof ClientError && error.code === 'invalid_credentials';
        if (options.register || usual === typed || !unknown) throw error;
        return client.login(usual, password);
      });
      this.#registered = null;
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
    // Who logs in next may be somebody else.
    go(null);
    try {
      await client.logout(options);
    } catch (error) {
      if (!options.everywhere) return;
      const text = error instanceof ClientError ? error.message : '';
      this.#show({ name: 'welcome', notice: `Logged out here, but perhaps not elsewhere. ${text}` });
    }
  }

  #chat(session: Session): View {
    this.#session = session;
    const { user_id } = session;
    // What is open is the former user's. An address that was opened before anybody had logged in is meant.
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
    // Another tab has renewed it meanwhile (a new password ends all sessions but that one). Or it is just about to:
    // so what lies in the shared storage is left alone, and this tab remembers for itself what it is worth.
    if (stored !== null && !same(stored, this.#session)) this.#show(this.#chat(stored));
    else {
      write(ownTab, ENDED, this.#session?.token ?? null);
      // A logout in another tab is told by what happens to the shared storage, if there is one.
      this.#show({ name: 'welcome', notice: ENDINGS[because.code] ?? because.message });
    }
  }

  #follow(stored: Session | null): void {
    if (stored === null) {
      const view = this.view.value;
      // The server's word about the dead token may have been quicker than the other tab's.
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
