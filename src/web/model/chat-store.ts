import {
  type Client,
  ClientError,
  type ConversationSummary,
  type ConversationsPage,
  createClient,
  LIMITS,
  type Message,
  type Session,
} from '../../client/index.ts';
import { type Attention, browserAttention } from './attention.ts';
import {
  type ChatState,
  type Conversation,
  initialState,
  inOrder,
  merge,
  peerOf,
  update,
  withMessages,
  withOpen,
  withOutbox,
  withPresence,
  withRead,
  withSummaries,
  withTyping,
} from './chat-state.ts';
import { Listenable } from './listenable.ts';
import { SITE } from './site.ts';
import { browserStorage, holdsUnkept, shared } from './storage.ts';

/** Messages per request. The first fills a screen; later ones keep ahead of a fast scroll. */
const FIRST_PAGE = 50;
const OLDER_PAGE = 100;
/** Limit on the pages of maximum size that are loaded at once to reach the first new message. */
const PAGES_TO_NEW_MAX = 10;
/** In a burst, and while catching up, messages are taken in together: at this interval in milliseconds, or at this many. */
const BURST_MS = 100;
const BURST_MAX = 1_000;
/** Minimum time between reloads of the list, in milliseconds, when events don't tell everything. */
const REFRESH_MS = 500;
/** Pause after a reload that failed, in milliseconds. */
const REFRESH_AGAIN_MS = 10_000;

export type ChatStoreOptions = {
  readonly session: Session;
  /** The session was renewed, or it ended (null). */
  readonly sessionChanged: (session: Session | null, because: ClientError | undefined) => void;
  readonly attention?: Attention;
};

/** Feeds the state of one logged-in user from the client, and does what the screens ask for. */
export class ChatStore {
  readonly client: Client;
  readonly state: Listenable<ChatState>;
  readonly attention: Attention;
  /** The user looks at the newest message of the open conversation. Set by the message list. */
  atEnd = false;
  readonly #arrivals = new Set<(message: Message, peer: string) => void>();
  /** Messages of the stream that are not in the state yet. */
  #arrived: Message[] = [];
  #takenInAt = Number.NEGATIVE_INFINITY;
  #burst: ReturnType<typeof setTimeout> | undefined;
  #watched = '';
  #refresh: ReturnType<typeof setTimeout> | undefined;
  /** Conversations that were in no page of the list, with the id of the last message. */
  readonly #missed = new Map<string, number>();
  /** Conversations of which the list has told in this connection, whose stream tells what changes after that. */
  #told = new Set<string>();
  #live = false;
  #closed = false;
  #listed: Promise<void> = Promise.resolve();

  constructor({ session, sessionChanged, attention = browserAttention }: ChatStoreOptions) {
    this.attention = attention;
    this.client = createClient({ url: SITE.href, session, storage: browserStorage });
    this.state = new Listenable(initialState(session.user_id, this.client.state));
    const { client } = this;
    client.on('state', (connection) => {
      this.#set({ ...this.#now, connection });
      if (connection.name === 'online') this.#wentOnline();
      else {
        this.#live = false;
        // Without a connection, nobody's presence is known. It is told anew while catching up.
        this.#followOnly([]);
      }
    });
    client.on('message', (message) => this.#received(message));
    client.on('outbox', (change) => {
      if (change.kind === 'settled') {
        const { message } = change;
        this.#set(withMessages(this.#now, message.to, [message], true));
      }
      this.#set(withOutbox(this.#now, client.outbox));
    });
    client.on('read', (mark) => {
      const next = withRead(this.#now, mark);
      if (next === null) this.#refreshSoon();
      else this.#set(next);
    });
    client.on('typing', ({ from, typing }) => this.#set(withTyping(this.#now, from, typing)));
    client.on('presence', (presence) => this.#set(withPresence(this.#now, presence)));
    client.on('problem', ({ during }) => {
      if (during === 'the storage' && client.outbox.length > 0) this.#set({ ...this.#now, unkept: true });
    });
    client.on('resync', () => this.#startOver());
    client.on('session', (change) => sessionChanged(change.session, change.because));
    // An earlier session may have left messages that this browser had no room for.
    const unkept = shared !== null && holdsUnkept();
    this.#set(withOutbox({ ...this.#now, unkept }, client.outbox));
    client.connect();
  }

  /** Takes in waiting messages first, so that changes to the state keep the order of events. */
  get #now(): ChatState {
    this.#takeIn();
    return this.state.value;
  }

  #set(state: ChatState): void {
    this.state.set(state);
  }

  /** Calls back for every message of somebody else. */
  onArrival(listener: (message: Message, peer: string) => void): () => void {
    this.#arrivals.add(listener);
    return () => this.#arrivals.delete(listener);
  }

  close(): void {
    clearTimeout(this.#refresh);
    clearTimeout(this.#burst);
    this.#closed = true;
    this.client.close();
  }

  // ---- what the screens ask for ----------------------------------------------------------------------------------

  open(peer: string | null): void {
    this.#set(withOpen(this.#now, peer));
    this.atEnd = false;
    if (peer === null) return;
    this.#watch();
    if (this.#live) void this.#loadOpened(peer);
  }

  /** @throws ClientError */
  async changePassword(current: string, next: string): Promise<void> {
    const session = await this.client.changePassword(current, next);
    if (!this.#closed) return;
    // Another tab has logged out, or somebody in, before the answer. Nobody will use this session.
    const last = createClient({ url: SITE.href, session });
    await last.logout().catch(() => {});
    last.close();
  }

  /** @returns the refusal, if the message could not even be put into the outbox */
  send(peer: string, text: string): Promise<ClientError | null> {
    const { promise, resolve } = Promise.withResolvers<ClientError | null>();
    const added = this.client.on('outbox', ({ kind, entry }) => {
      if (kind === 'added' && entry.to === peer && entry.message === text) resolve(null);
    });
    this.client.send(peer, text).then(
      () => resolve(null),
      (error: unknown) => resolve(error instanceof ClientError ? error : null),
    );
    void promise.finally(added);
    this.#set(
      update(this.#now, peer, (conversation) => ({
        ...conversation,
        newAfter: conversation.unread === 0 ? null : conversation.newAfter,
      })),
    );
    return promise;
  }

  retry(clientId: string): void {
    // A refusal becomes the entry's state.
    this.client.retry(clientId).catch(() => {});
  }

  /** The user has seen everything up to `id` on the screen. */
  seen(peer: string, id: number): void {
    const conversation = this.#conversation(peer);
    if (conversation.unread === 0 || id <= conversation.read) return;
    this.client.markRead(peer, id);
    const next = withRead(this.#now, { user: this.#now.me, with: peer, id });
    if (next !== null) this.#set(next);
  }

  async loadHistory(peer: string): Promise<void> {
    const { history, last, unread: listed } = this.#conversation(peer);
    if (history === 'loading' || history === 'ready') return;
    this.#change(peer, { history: 'loading' });
    const { era } = this.#now;
    try {
      // Reaching the line above the first new message is worth longer pages, and more of them: everything above the screen counts as read.
      const limit = Math.min(Math.max(FIRST_PAGE, listed + 20), LIMITS.historyPageMax);
      let page = await this.client.history(peer, { limit });
      let loaded: readonly Message[] = page.messages;
      if (last === null) await this.#loadSummary(peer, loaded);
      const { unread } = this.#conversation(peer);
      for (let pages = 1; unread > 0 && page.next_before !== null && pages < PAGES_TO_NEW_MAX; pages++) {
        if (era !== this.#now.era) return;
        if (loaded[0] === undefined || loaded[0].id <= this.#conversation(peer).read) break;
        page = await this.client.history(peer, { before: page.next_before, limit: LIMITS.historyPageMax });
        loaded = merge(page.messages, loaded);
      }
      if (era !== this.#now.era) return;
      this.#set(
        update(this.#now, peer, (conversation) => {
          const messages = merge(loaded, conversation.messages);
          return {
            ...conversation,
            messages,
            history: 'ready',
            nextBefore: page.next_before === null ? null : messages[0]!.id,
            last: conversation.last ?? messages.at(-1) ?? null,
          };
        }),
      );
    } catch {
      if (era === this.#now.era) this.#change(peer, { history: 'failed' });
    }
  }

  async loadOlder(peer: string): Promise<void> {
    const { history, nextBefore, older } = this.#conversation(peer);
    if (history !== 'ready' || nextBefore === null || older === 'loading') return;
    this.#change(peer, { older: 'loading' });
    const { era } = this.#now;
    try {
      const page = await this.client.history(peer, { before: nextBefore, limit: OLDER_PAGE });
      if (era !== this.#now.era) return;
      this.#set(
        update(this.#now, peer, (conversation) => {
          // Trimmed while the page was on its way: the page does not end at the first message any more.
          const trimmed = conversation.history !== 'ready' || conversation.nextBefore !== nextBefore;
          if (trimmed) return { ...conversation, older: 'idle' };
          const messages = merge(page.messages, conversation.messages);
          return { ...conversation, messages, older: 'idle', nextBefore: page.next_before };
        }),
      );
    } catch {
      if (era === this.#now.era) this.#change(peer, { older: 'failed' });
    }
  }

  async loadMoreConversations(): Promise<void> {
    const { list, listBefore } = this.#now;
    if (list === 'failed') await this.#loadList(listBefore ?? undefined);
    else if (list === 'ready' && listBefore !== null) await this.#loadList(listBefore);
  }

  /** Ids that begin with the typed text, regardless of the case of its first letter and the encoding of its accents. */
  async searchUsers(prefix: string): Promise<string[]> {
    const [first = '', ...rest] = prefix.normalize();
    const tail = rest.join('');
    const variants = new Set([
      prefix,
      prefix.normalize(),
      prefix.normalize().toLowerCase(),
      first.toUpperCase() + tail,
      first.toUpperCase() + tail.toLowerCase(),
    ]);
    const found = await Promise.all([...variants].map((variant) => this.client.searchUsers(variant)));
    return [...new Set(found.flat())];
  }

  // ---- inside ----------------------------------------------------------------------------------------------------

  #conversation(peer: string): Conversation {
    let found = this.#now.conversations.get(peer);
    if (found === undefined) {
      this.#set(update(this.#now, peer, (fresh) => fresh));
      found = this.#now.conversations.get(peer)!;
    }
    return found;
  }

  #change(peer: string, part: Partial<Conversation>): void {
    this.#set(update(this.#now, peer, (conversation) => ({ ...conversation, ...part })));
  }

  /** A lone message is taken in at once. Each change copies and lays out the conversation's messages, so a burst is taken in together. */
  #received(message: Message): void {
    this.#arrived.push(message);
    const rare = this.#live && performance.now() - this.#takenInAt >= BURST_MS;
    if (rare || this.#arrived.length >= BURST_MAX) this.#takeIn();
    else this.#burst ??= setTimeout(() => this.#takeIn(), BURST_MS);
  }

  #takeIn(): void {
    if (this.#arrived.length === 0) return;
    const arrived = this.#arrived;
    this.#arrived = [];
    clearTimeout(this.#burst);
    this.#burst = undefined;
    this.#takenInAt = performance.now();
    let state = this.state.value;
    const { me, open } = state;
    for (const [peer, messages] of Map.groupBy(arrived, (message) => peerOf(message, me))) {
      // The conversation may be from beyond the loaded part of the list, and have unread messages of its own.
      if (state.conversations.get(peer)?.last == null) this.#refreshSoon();
      state = withMessages(state, peer, messages, peer === open && this.atEnd && this.attention.present);
    }
    this.#set(state);
    for (const message of arrived) {
      if (message.from === me) continue;
      for (const listener of this.#arrivals) listener(message, peerOf(message, me));
    }
  }

  #wentOnline(): void {
    this.#live = true;
    this.#told = new Set();
    // The client has caught up with messages, but not with read markers that moved meanwhile.
    this.#listed = this.#loadList();
    const { open } = this.#now;
    if (open === null) return;
    if (this.#conversation(open).older === 'failed') this.#change(open, { older: 'idle' });
    void this.#loadOpened(open);
  }

  /** The list tells where the first new message is, and so how much to load. */
  async #loadOpened(peer: string): Promise<void> {
    await this.#listed;
    if (this.#now.open !== peer) return;
    // While there was no connection, the other may have read what stands in it.
    if (this.#conversation(peer).listed && !this.#told.has(peer)) this.#refreshSoon();
    await this.loadHistory(peer);
  }

  #refreshSoon(ms = REFRESH_MS): void {
    this.#refresh ??= setTimeout(() => {
      this.#refresh = undefined;
      if (this.#live) void this.#loadList();
    }, ms);
  }

  async #loadList(before?: number): Promise<void> {
    const { era } = this.#now;
    const told = this.#told;
    const first = before === undefined;
    // A page for news goes unnoticed: what is there stays as it is.
    if (!first || this.#now.list === 'failed') this.#set({ ...this.#now, list: 'loading' });
    try {
      const page = await this.client.conversations(first ? {} : { before });
      if (era !== this.#now.era) return;
      const wasLoaded = this.#now.list === 'ready' && first;
      this.#set({
        ...this.#withPage(page.conversations, told),
        list: 'ready',
        listBefore: wasLoaded ? this.#now.listBefore : page.next_before,
      });
      this.#watch();
      if (first) await this.#recountBeyond(page);
    } catch {
      if (era !== this.#now.era) return;
      if (this.#now.list !== 'ready') this.#set({ ...this.#now, list: 'failed' });
      const hasList = [...this.#now.conversations.values()].some(({ listed }) => listed);
      // What only the list tells, unread counts say, would be wrong until the next connection, which asks by itself.
      if (first && hasList && this.#live) this.#refreshSoon(REFRESH_AGAIN_MS);
    }
  }

  /**
   * Conversations beyond the first page that count as unread here may have been read elsewhere, too; the open one may have been read
   * by the other; and of some the list has told nothing yet. A request begins at the newest of them, and spans what is known down to
   * the oldest: one unread conversation, however far down, is a request for one.
   */
  async #recountBeyond(first: ConversationsPage): Promise<void> {
    const { era } = this.#now;
    const told = this.#told;
    this.#refreshIfMissed(first, this.#doubtful());
    for (let end = first.next_before; end !== null; ) {
      const before = end;
      const wanted = new Map([...this.#doubtful()].filter(([, id]) => id < before));
      if (wanted.size === 0) return;
      const [newest, oldest] = [Math.max(...wanted.values()), Math.min(...wanted.values())];
      const ids = [...this.#now.conversations.values()].map(({ last }) => last?.id ?? 0);
      const span = ids.filter((id) => id >= oldest && id <= newest).length;
      const limit = Math.min(span, LIMITS.conversationsPageMax);
      const page = await this.client.conversations({ before: newest + 1, limit });
      if (era !== this.#now.era) return;
      this.#set(this.#withPage(page.conversations, told));
      this.#watch();
      this.#refreshIfMissed(page, wanted);
      end = page.next_before;
    }
  }

  /** The conversations of which the list may have news, with the id of the last message. */
  #doubtful(): ReadonlyMap<string, number> {
    const { open, conversations } = this.#now;
    const found = new Map<string, number>();
    for (const { peer, last, listed, unread } of conversations.values())
      if (last !== null && (unread > 0 || !listed || peer === open)) found.set(peer, last.id);
    return found;
  }

  /**
   * One that got a message while the page was asked for stands further up now, and is in none. Asked for once: what an operator has
   * deleted is in none either.
   */
  #refreshIfMissed(
    { conversations, next_before }: ConversationsPage,
    wanted: ReadonlyMap<string, number>,
  ): void {
    const told = new Set(conversations.map(({ user }) => user));
    for (const [peer, id] of wanted) {
      if (id < (next_before ?? 0) || told.has(peer) || this.#missed.get(peer) === id) continue;
      this.#missed.set(peer, id);
      this.#refreshSoon();
    }
  }

  /** @param told is that of the connection in which the page was asked for: of later ones it tells nothing */
  #withPage(conversations: readonly ConversationSummary[], told: Set<string>): ChatState {
    for (const { user } of conversations) told.add(user);
    return withSummaries(this.#now, conversations);
  }

  /** A conversation that was opened from beyond the loaded part of the list has unread messages and read markers, too. */
  async #loadSummary(peer: string, messages: readonly Message[]): Promise<void> {
    const newest = messages.at(-1);
    if (newest === undefined) return;
    const { era } = this.#now;
    const told = this.#told;
    const { conversations } = await this.client.conversations({ before: newest.id + 1, limit: 1 });
    if (era !== this.#now.era) return;
    // If a message came meanwhile, the answer is about another conversation. The list is asked for this one then.
    const about = conversations.filter(({ user }) => user === peer);
    this.#set(this.#withPage(about, told));
  }

  /** Follows the presence of the open conversation's user, then of those in the list, latest first. */
  #watch(): void {
    const { open, me } = this.#now;
    const users = inOrder(this.#now).map(({ peer }) => peer);
    if (open !== null) users.unshift(open);
    const wanted = [...new Set(users)].filter((user) => user !== me).slice(0, LIMITS.watchedUsers);
    // Sorted, because the list's order changes with every message.
    const key = JSON.stringify(wanted.toSorted());
    if (key === this.#watched) return;
    this.#watched = key;
    this.client.watch(wanted);
    this.#followOnly(wanted);
  }

  /** Forgets that others are online: nobody will tell when they leave. */
  #followOnly(users: readonly string[]): void {
    const { online } = this.#now;
    const followed = new Set([...online].filter((user) => users.includes(user)));
    if (followed.size < online.size) this.#set({ ...this.#now, online: followed });
  }

  #startOver(): void {
    const { me, connection, open, unkept, era } = this.#now;
    this.#set(
      withOutbox({ ...initialState(me, connection), open, unkept, era: era + 1 }, this.client.outbox),
    );
    if (open !== null) this.#set(update(this.#now, open, (conversation) => conversation));
  }
}
