import { sleep } from '../base/clock.ts';
import { Semaphore } from '../base/semaphore.ts';
import { CHANNELS } from '../bus/channels.ts';
import { ParleyError } from '../contract/errors.ts';
import type { Bus } from '../core/bus.ts';
import { type Beat, decodeUserEvent, type UserEvent } from '../core/events.ts';
import type { CatchUpPage, QueryPort, TokenClaims } from '../core/queries.ts';

/** Limit on concurrent repairs. The others wait. */
const REPAIRS_MAX = 64;
/** Pause before the store is asked again, in milliseconds: after a failure, and while it is behind an event. */
const RETRY_MS = 250;
const BEHIND_MS = 20;

/** A socket, as its user's feed sees it. */
export interface FeedMember {
  readonly claims: Pick<TokenClaims, 'tokenId' | 'version'> | undefined;
  /** Messages in ascending id. The member skips those it already has. */
  deliver(ids: readonly number[], frames: readonly string[]): void;
  signal(frame: string): void;
  /** The member's token was revoked. */
  revoked(): void;
}

/** Shared, as there may be ten thousand feeds that nothing is the matter with. */
const NOBODY: readonly FeedMember[] = [];
const DONE = Promise.resolve();

/**
 * opening: subscribed, but it is not known yet from which point on the feed is complete.
 * live: complete up to `cursor`. Events go straight through.
 * repairing: something is missing, and the store is being asked. Events only raise `target`: the store is the buffer.
 */
type FeedState = 'opening' | 'live' | 'repairing';

/** One user's messages on one gateway: complete and in order up to a cursor (G3), whatever the bus loses (G5). */
export class Feed {
  readonly user: string;
  /** Replaced when somebody joins or leaves. */
  members = NOBODY;
  /** Resolves when the subscription is active; rejects if the bus refuses it. */
  subscribed: Promise<void> = DONE;
  readonly #repair: (feed: Feed) => Promise<void>;
  #state: FeedState = 'opening';
  #cursor = 0;
  #target = 0;
  /** When the oldest message of the events that are held back was accepted, Unix ms. */
  #heldSince: number | undefined;
  /** The repair under way. */
  #underWay: Promise<void> = DONE;
  /** A repair was requested during another one, which may have read the store too early. */
  #again = false;

  constructor(user: string, repair: (feed: Feed) => Promise<void>) {
    this.user = user;
    this.#repair = repair;
  }

  /** Everything up to this id has been delivered. */
  get cursor(): number {
    return this.#cursor;
  }

  get behind(): boolean {
    return this.#cursor < this.#target;
  }

  /** Opens the feed at the store's newest id, read after the subscription became active: the feed is complete from there on. */
  open(head: number): void {
    if (this.#state !== 'opening') return;
    this.#cursor = head;
    // What the store had by then is not this feed's to deliver.
    if (!this.behind) this.#heldSince = undefined;
    this.#goLive();
  }

  /** @returns when the oldest message that was delivered now was accepted, Unix ms; undefined if none was */
  handle(event: UserEvent): number | undefined {
    switch (event.kind) {
      case 'messages':
        return this.#messages(event);
      case 'signal':
        for (const member of this.members) member.signal(event.frame);
        return;
      case 'revoked':
        for (const member of this.members) {
          const { claims } = member;
          if (claims && (claims.tokenId === event.tokenId || claims.version < event.version))
            member.revoked();
        }
        return;
    }
  }

  #messages({ prev, at, ids, frames }: Extract<UserEvent, { kind: 'messages' }>): number | undefined {
    const last = ids.at(-1) as number;
    if (last <= this.#cursor) return undefined;
    if (this.#state === 'live' && prev <= this.#cursor) {
      this.#deliver(ids, frames, last);
      return at;
    }
    this.#heldSince ??= at;
    this.expect(last);
    return undefined;
  }

  /** A message with this id exists, so the feed must reach it. */
  expect(id: number): void {
    if (id <= this.#cursor || id <= this.#target) return;
    this.#target = id;
    if (this.#state === 'live') this.repair();
  }

  /** Asks the store for what may be missing. */
  repair(): void {
    if (this.#state !== 'live') {
      this.#again = true;
      return;
    }
    this.#state = 'repairing';
    this.#again = false;
    this.#underWay = this.#repair(this).then(() => this.#goLive());
  }

  /** Resolves when no repair holds anything back. */
  async settled(): Promise<void> {
    while (this.#state === 'repairing') await this.#underWay;
  }

  #goLive(): void {
    this.#state = 'live';
    this.#underWay = DONE;
    // A feed without members has been dropped: there is nobody to repair it for.
    if (this.members.length > 0 && (this.#again || this.behind)) this.repair();
  }

  /**
   * Takes a page of the repair.
   * @param holders the members whose tokens the page reports on, in its order
   * @returns as `handle` does, of the events that were held back, once nothing is
   */
  repaired(page: CatchUpPage, holders: readonly FeedMember[]): number | undefined {
    // First, since the page may have what was sent after a token was revoked.
    page.tokens.forEach((state, i) => {
      if (state === 'revoked') holders[i]?.revoked();
    });
    if (page.ids.length > 0) this.#deliver(page.ids, page.frames, page.upto);
    this.#cursor = Math.max(this.#cursor, page.upto);
    if (this.behind) return undefined;
    const since = this.#heldSince;
    this.#heldSince = undefined;
    return since;
  }

  #deliver(ids: readonly number[], frames: readonly string[], upto: number): void {
    let from = 0;
    while ((ids[from] as number) <= this.#cursor) from++;
    if (from > 0) {
      ids = ids.slice(from);
      frames = frames.slice(from);
    }
    if (ids.length > 0) for (const member of this.members) member.deliver(ids, frames);
    // Set last, so that a delivery which fails half-way is repaired.
    this.#cursor = upto;
  }
}

export interface FeedObserver {
  /** Messages that events told of were written to their sockets. `at` is when the oldest was accepted, Unix ms. */
  event(at: number): void;
  /** Messages whose events were lost were read from the store. */
  repaired(messages: number): void;
}

/** All feeds of one gateway. Subscribes for users with a socket here, and repairs their feeds. */
export class Feeds {
  readonly #bus: Bus;
  readonly #queries: QueryPort;
  readonly #feeds = new Map<string, Feed>();
  readonly #observer: FeedObserver;
  readonly #turns = new Semaphore(REPAIRS_MAX);

  constructor(bus: Bus, queries: QueryPort, observer: FeedObserver) {
    this.#bus = bus;
    this.#queries = queries;
    this.#observer = observer;
  }

  /**
   * Adds `member` to the user's feed. Resolves with it once its subscription is active. The caller opens it with the store's head.
   * Rejects with `unavailable` if the bus refuses the subscription; the caller leaves then, too.
   */
  async join(user: string, member: FeedMember): Promise<Feed> {
    const feed = this.#feeds.get(user) ?? this.#open(user);
    feed.members = [...feed.members, member];
    await feed.subscribed;
    return feed;
  }

  #open(user: string): Feed {
    const feed = new Feed(user, this.#repairFeed);
    const hear = (payload: string): void => {
      const event = decodeUserEvent(payload);
      // Perhaps it is from a later version. Whatever it says, the store knows.
      if (event === undefined) return feed.repair();
      const at = feed.handle(event);
      if (at !== undefined) this.#observer.event(at);
    };
    feed.subscribed = this.#bus.subscribe(CHANNELS.user(user), hear).then(
      () => {
        feed.subscribed = DONE;
      },
      () => {
        // Redis may refuse the channel. The bus tells operators why.
        throw new ParleyError('unavailable');
      },
    );
    this.#feeds.set(user, feed);
    return feed;
  }

  leave(user: string, member: FeedMember): void {
    const feed = this.#feeds.get(user);
    if (feed === undefined) return;
    feed.members = feed.members.filter((other) => other !== member);
    if (feed.members.length > 0) return;
    this.#feeds.delete(user);
    this.#bus.unsubscribe(CHANNELS.user(user));
  }

  /** Asks the store for what the user's feed may be missing. */
  repair(user: string): void {
    this.#feeds.get(user)?.repair();
  }

  /** Resolves when no repair of the user's feed holds anything back. */
  async settled(user: string): Promise<void> {
    await this.#feeds.get(user)?.settled();
  }

  /** Number of the user's sockets here. */
  sockets(user: string): number {
    return this.#feeds.get(user)?.members.length ?? 0;
  }

  /** Compares a beat's newest ids with the feeds. */
  check(beat: Beat): void {
    for (const [user, newest] of beat.heads) this.#feeds.get(user)?.expect(newest);
    for (const user of beat.revoked) this.#feeds.get(user)?.repair();
  }

  /** Anybody's events may have been lost: asks the store about every user. */
  resync(): void {
    for (const feed of this.#feeds.values()) feed.repair();
  }

  /** One function for all feeds, since there may be ten thousand of them. */
  readonly #repairFeed = async (feed: Feed): Promise<void> => {
    while (this.#feeds.get(feed.user) === feed) {
      const holders = feed.members.filter(({ claims }) => claims !== undefined);
      const page = await this.#turns.run(() => this.#askFor(feed, holders));
      if (page === undefined) {
        await sleep(RETRY_MS);
        continue;
      }
      const at = feed.repaired(page, holders);
      if (at !== undefined) this.#observer.event(at);
      if (page.ids.length > 0) this.#observer.repaired(page.ids.length);
      if (page.more) continue;
      if (!feed.behind) return;
      await sleep(BEHIND_MS);
    }
  };

  async #askFor(feed: Feed, holders: readonly FeedMember[]): Promise<CatchUpPage | undefined> {
    const tokens = holders.flatMap(({ claims }) =>
      claims ? [{ tokenId: claims.tokenId, version: claims.version }] : [],
    );
    try {
      return await this.#queries.ask('catchUp', { user: feed.user, since: feed.cursor, tokens });
    } catch {
      return undefined; // Nothing is delivered until the store answers: late rather than wrong.
    }
  }
}
