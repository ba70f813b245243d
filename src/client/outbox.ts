import { backoffMs } from './backoff.ts';
import { type Clock, elapsedMs } from './clock.ts';
import { ClientError } from './errors.ts';
import type { OutboxStore } from './outbox-store.ts';
import { countOf, Pace } from './pace.ts';
import type { OutboxChange, OutboxEntry } from './types.ts';
import type { ErrorNotice, Message, SendRequest } from './wire.ts';

export type OutboxOptions = {
  readonly clock: Clock;
  readonly random: () => number;
  readonly limit: number;
  readonly changed: (change: OutboxChange) => void;
  /** Puts a frame on the socket; false if there is none that takes it. */
  readonly transmit: (frame: SendRequest) => boolean;
  /** How many sends may be unanswered on the socket. Long ones count for more. */
  readonly window: () => number;
};

type Deferred = {
  readonly promise: Promise<Message>;
  readonly resolve: (message: Message) => void;
  readonly reject: (error: ClientError) => void;
};
/**
 * `waiter` is missing where nobody asked: an entry taken over from an earlier page, or another tab. `count` is what it takes
 * of window and rate, once that has been reckoned.
 */
type Item = { entry: OutboxEntry; waiter?: Deferred; count?: number };

/** After a refusal that is worth a retry. Shorter than the reconnect's: the server is there and answers. */
const RETRY = { baseMs: 500, capMs: 10_000 } as const;

/**
 * The messages of one user that are not known to be stored.
 *
 *     queued ──transmit──► sent ──echo, repeat──► settled (gone)
 *        ▲                  │ └──refused for good──► failed ──retry──► queued
 *        └──socket lost, ───┘                          └──discard──► gone
 *           refused for now
 *
 * Whatever happens between, an entry keeps its `client_id`; that makes sending it again safe (M6). Entries go out in the
 * order they were added. After a refusal for now nothing goes out for a while, lest more of the later ones overtake it.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #store: OutboxStore | null;
  /** In the order of sending. */
  readonly #items = new Map<string, Item>();
  readonly #pace: Pace;
  #shown: readonly OutboxEntry[] = [];
  #queued: string[] = [];
  #inFlight = 0;
  #pauses = 0;
  #lastCreated = 0;
  #cancelPause: (() => void) | null = null;
  #cancelPace: () => void = () => {};
  #loaded = false;
  #closed = false;

  constructor(store: OutboxStore | null, options: OutboxOptions) {
    this.#store = store;
    this.#options = options;
    this.#pace = new Pace(options.clock);
  }

  /** Reads what earlier clients of this user have left. Nothing is sent before that. */
  open(): void {
    if (this.#store === null) this.#begin([]);
    else {
      this.#store.load(
        () => true,
        (entries) => this.#begin(entries),
      );
    }
  }

  /** The same array while nothing has changed: React's `useSyncExternalStore` would render for ever otherwise. */
  get entries(): readonly OutboxEntry[] {
    const now = [...this.#items.values()].map(({ entry }) => entry);
    const same = now.length === this.#shown.length && now.every((entry, i) => entry === this.#shown[i]);
    if (!same) this.#shown = now;
    return this.#shown;
  }

  add(clientId: string, to: string, message: string): Promise<Message> {
    const known = this.#items.get(clientId);
    if (known !== undefined && known.entry.status !== 'failed') {
      if (known.entry.to !== to || known.entry.message !== message) {
        return Promise.reject(new ClientError('client_id_conflict'));
      }
      known.waiter ??= deferred();
      return known.waiter.promise;
    }
    if (known === undefined && this.#items.size >= this.#options.limit) {
      return Promise.reject(new ClientError('outbox_full'));
    }
    // A failed entry that is sent again goes to the end, where the caller sees it happen.
    this.#items.delete(clientId);
    const created_at = this.#stamp();
    const entry: OutboxEntry = { client_id: clientId, to, message, created_at, status: 'queued' };
    const waiter = deferred();
    this.#items.set(clientId, { entry, waiter });
    // Stored before it is sent, so that a page that goes away between the two loses nothing.
    this.#store?.put(entry);
    this.#queued.push(clientId);
    this.#options.changed({ kind: known === undefined ? 'added' : 'updated', entry });
    this.flush();
    return waiter.promise;
  }

  /** Sends what the socket takes. */
  flush(): void {
    if (!this.#loaded || this.#closed || this.#cancelPause !== null) return;
    while (this.#queued.length > 0) {
      const item = this.#items.get(this.#queued[0]!);
      if (item?.entry.status !== 'queued') {
        this.#queued.shift();
        continue;
      }
      const { client_id, to, message } = item.entry;
      const frame: SendRequest = { type: 'message', to, message, client_id };
      item.count ??= countOf(frame);
      // One that is longer than the window goes alone.
      if (this.#inFlight > 0 && this.#inFlight + item.count > this.#options.window()) return;
      const ms = this.#pace.wait(item.count);
      if (ms > 0) {
        this.#cancelPace();
        this.#cancelPace = this.#options.clock.after(ms, () => this.flush());
        return;
      }
      if (!this.#options.transmit(frame)) return;
      this.#pace.spend(item.count);
      this.#queued.shift();
      this.#inFlight += item.count;
      this.#update(item, { ...item.entry, status: 'sent' });
    }
  }

  /** An echo or a repeat: the message is stored. */
  settle(message: Message): void {
    const item = message.client_id === undefined ? undefined : this.#items.get(message.client_id);
    if (item === undefined) return;
    // Another device has used the id for something else. What the server makes of ours, it says when it is sent.
    if (message.to !== item.entry.to || message.message !== item.entry.message) return;
    this.#drop(item);
    this.#pauses = 0;
    this.#options.changed({ kind: 'settled', entry: item.entry, message });
    item.waiter?.resolve(message);
    this.flush();
  }

  /** An error frame. @returns whether it was, or may have been, about a send. */
  refuse({ client_id, code, error, retryable }: ErrorNotice): boolean {
    if (client_id === undefined) {
      // A frame that was refused unread has no name: it may have been any of these, and none may be forgotten.
      if (!retryable || this.#inFlight === 0) return false;
      this.#pause();
      this.#requeue();
      return true;
    }
    const item = this.#items.get(client_id);
    if (item === undefined) return false;
    this.#landed(item);
    if (retryable) {
      this.#pause();
      this.#update(item, { ...item.entry, status: 'queued' });
      this.#rebuildQueue();
      return true;
    }
    const { waiter } = item;
    delete item.waiter;
    const failed: OutboxEntry = { ...item.entry, status: 'failed', code, error };
    // Before it is told: a listener may discard or retry it at once.
    this.#store?.put(failed);
    this.#update(item, failed);
    waiter?.reject(new ClientError(code, error, { retryable: false }));
    this.flush();
    return true;
  }

  /** The socket is gone: what it had not answered is to be sent again. */
  lost(): void {
    this.#cancelPace();
    this.#pace.reset();
    this.#requeue();
  }

  /**
   * Takes over what other clients of the user have left in the storage.
   * @param olderThanMs leaves younger ones to the client that is sending them just now
   */
  adopt(olderThanMs = 0): void {
    if (!this.#loaded || this.#closed) return;
    this.#store?.load(
      (clientId) => !this.#items.has(clientId),
      (entries) => {
        this.#take(
          entries.filter(({ created_at }) => elapsedMs(this.#options.clock, created_at) >= olderThanMs),
        );
        this.flush();
      },
    );
  }

  get(clientId: string): OutboxEntry | undefined {
    return this.#items.get(clientId)?.entry;
  }

  discard(clientId: string): void {
    const item = this.#items.get(clientId);
    if (item === undefined) return;
    this.#drop(item);
    this.#rebuildQueue();
    this.#options.changed({ kind: 'removed', entry: item.entry });
    item.waiter?.reject(new ClientError('discarded'));
    this.flush();
  }

  /** Lets go of everything in memory. What is stored stays, unless `forget`. @returns when the storage is at rest */
  close(because: ClientError, forget = false): Promise<void> | undefined {
    this.#closed = true;
    this.#cancelPause?.();
    this.#cancelPause = null;
    this.#cancelPace();
    if (forget) for (const clientId of this.#items.keys()) this.#store?.remove(clientId);
    const atRest = forget ? this.#store?.clear() : this.#store?.idle();
    const items = [...this.#items.values()];
    this.#items.clear();
    this.#queued = [];
    this.#inFlight = 0;
    for (const { entry, waiter } of items) {
      this.#options.changed({ kind: 'removed', entry });
      waiter?.reject(because);
    }
    return atRest;
  }

  /** What was stored goes before what has been added while it was being read. */
  #begin(entries: readonly OutboxEntry[]): void {
    const early = [...this.#items];
    this.#take(entries);
    this.#loaded = true;
    let newest = entries.at(-1)?.created_at ?? 0;
    for (const [id, item] of early) {
      // A listener that was told of the others may have ended it.
      if (this.#items.get(id) !== item) continue;
      this.#items.delete(id);
      this.#items.set(id, item);
      // The clock was set back since: with that stamp it would come first after the next reload.
      if (item.entry.created_at > newest) continue;
      newest = this.#stamp();
      item.entry = { ...item.entry, created_at: newest };
      this.#store?.put(item.entry);
    }
    this.#rebuildQueue();
    if (entries.length > 0) {
      // They have other places now.
      for (const [id, item] of early)
        if (this.#items.get(id) === item) this.#options.changed({ kind: 'updated', entry: item.entry });
    }
    this.flush();
  }

  #take(entries: readonly OutboxEntry[]): void {
    for (const entry of entries) {
      // Those beyond the limit wait in the storage.
      if (this.#closed || this.#items.size >= this.#options.limit) return;
      if (this.#items.has(entry.client_id)) continue;
      this.#items.set(entry.client_id, { entry });
      // What is added from now on comes after it, even if the clock was set back since.
      this.#lastCreated = Math.max(this.#lastCreated, entry.created_at);
      if (entry.status === 'queued') this.#queued.push(entry.client_id);
      this.#options.changed({ kind: 'added', entry });
    }
  }

  /** Strictly ascending: it is the order of the entries in a storage. */
  #stamp(): number {
    this.#lastCreated = Math.max(this.#options.clock.now(), this.#lastCreated + 1);
    return this.#lastCreated;
  }

  #drop(item: Item): void {
    this.#landed(item);
    this.#items.delete(item.entry.client_id);
    this.#store?.remove(item.entry.client_id);
  }

  #landed({ entry, count = 0 }: Item): void {
    if (entry.status === 'sent') this.#inFlight -= count;
  }

  #update(item: Item, entry: OutboxEntry): void {
    item.entry = entry;
    this.#options.changed({ kind: 'updated', entry });
  }

  #requeue(): void {
    for (const [id, item] of [...this.#items]) {
      // A listener that was told of the others may have ended it.
      if (this.#items.get(id) !== item || item.entry.status !== 'sent') continue;
      this.#update(item, { ...item.entry, status: 'queued' });
    }
    this.#inFlight = 0;
    this.#rebuildQueue();
  }

  #rebuildQueue(): void {
    this.#queued = [];
    for (const [id, { entry }] of this.#items) if (entry.status === 'queued') this.#queued.push(id);
  }

  /** One pause for all refusals that arrive during it: they are the tail of one burst. */
  #pause(): void {
    if (this.#cancelPause !== null) return;
    const ms = backoffMs(this.#pauses, this.#options.random, RETRY);
    this.#pauses += 1;
    this.#cancelPause = this.#options.clock.after(ms, () => {
      this.#cancelPause = null;
      this.flush();
    });
  }
}

function deferred(): Deferred {
  const { promise, resolve, reject } = Promise.withResolvers<Message>();
  // Who awaits it hears of it; who sends and forgets has the outbox's events, and must not be ended by Node for it.
  promise.catch(() => {});
  return { promise, resolve, reject };
}
