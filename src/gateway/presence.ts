import { chunks } from '../base/chunks.ts';
import type { Clock } from '../base/clock.ts';
import { CHANNELS } from '../bus/channels.ts';
import type { Bus } from '../core/bus.ts';

/** A gateway speaks this often, and counts as gone after so much silence, in milliseconds. */
const SPEAK_EVERY_MS = 1_000;
const GONE_AFTER_MS = 4_000;
/** Changes are published together after this time, in milliseconds. */
const TELL_AFTER_MS = 100;
/** Users per publication. */
const TELL_MAX = 2_000;

/** [user, number of sockets] */
type Count = readonly [string, number];

/** What gateways publish. `seq` ascends by one per gateway. A gateway that misses one asks for everything, until it gets it. */
type Telling = {
  readonly gateway: string;
  readonly seq: number;
  readonly counts?: readonly Count[];
  readonly all?: boolean;
  readonly ask?: string;
};

/** `complete`: nothing that it published since its last full answer was missed. */
type Peer = { readonly counts: Map<string, number>; seq: number; heardAt: number; complete: boolean };

export interface Watcher {
  presence(online: readonly string[], offline: readonly string[]): void;
}

/**
 * Who is online in the cluster (rule S3). Each gateway publishes its number of sockets per user, and changes of it. When a
 * gateway falls silent, its users go offline, all at once.
 */
export class Presence {
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #gateway: string;
  readonly #local = new Map<string, number>();
  readonly #peers = new Map<string, Peer>();
  readonly #watchers = new Map<string, Set<Watcher>>();
  /** Users whose sockets here changed since the last publication, and whether they were online then, which is what watchers know. */
  readonly #untold = new Map<string, boolean>();
  #seq = 0;
  #tickDue = 0;
  #cancelTick = (): void => {};
  #cancelTell = (): void => {};

  constructor(bus: Bus, clock: Clock, gateway: string) {
    this.#bus = bus;
    this.#clock = clock;
    this.#gateway = gateway;
  }

  async start(): Promise<void> {
    await this.#bus.subscribe(CHANNELS.presence, (payload) => this.#hear(JSON.parse(payload) as Telling));
    this.#tell({ ask: '*' });
    this.#tick();
  }

  /** Tells the other gateways that nobody is here any more. */
  stop(): void {
    this.#cancelTick();
    this.#cancelTell();
    this.#bus.unsubscribe(CHANNELS.presence);
    this.#tell({ counts: [], all: true });
  }

  /** Sockets of the user anywhere, with other gateways' as last published. */
  sockets(user: string): number {
    let sockets = this.#local.get(user) ?? 0;
    for (const { counts } of this.#peers.values()) sockets += counts.get(user) ?? 0;
    return sockets;
  }

  isOnline(user: string): boolean {
    return this.sockets(user) > 0;
  }

  /** Whether the user is online, as watchers know it. */
  #shownOnline(user: string): boolean {
    return this.#untold.get(user) ?? this.isOnline(user);
  }

  /** A socket of the user opened (+1) or closed (−1) here. Changes are batched: a user who comes and goes would keep all watchers busy. */
  change(user: string, by: 1 | -1): void {
    if (this.#untold.size === 0)
      this.#cancelTell = this.#clock.after(TELL_AFTER_MS, () => this.#tellChanges());
    this.#untold.set(user, this.#shownOnline(user));
    const count = (this.#local.get(user) ?? 0) + by;
    if (count > 0) this.#local.set(user, count);
    else this.#local.delete(user);
  }

  /** Replaces the users that a watcher follows, and tells it their present state. */
  watch(watcher: Watcher, before: readonly string[], users: readonly string[]): void {
    this.unwatch(watcher, before);
    for (const user of users) {
      const watchers = this.#watchers.get(user) ?? new Set();
      this.#watchers.set(user, watchers.add(watcher));
    }
    watcher.presence(
      users.filter((user) => this.#shownOnline(user)),
      users.filter((user) => !this.#shownOnline(user)),
    );
  }

  unwatch(watcher: Watcher, users: readonly string[]): void {
    for (const user of users) {
      const watchers = this.#watchers.get(user);
      watchers?.delete(watcher);
      if (watchers?.size === 0) this.#watchers.delete(user);
    }
  }

  #tellChanges(): void {
    const users = [...this.#untold.keys()];
    this.#changing(users, () => this.#untold.clear());
    for (const some of chunks(users, TELL_MAX)) this.#tell({ counts: this.#countsOf(some) });
  }

  #tellAll(): void {
    const [first = [], ...rest] = chunks([...this.#local.keys()], TELL_MAX);
    this.#tell({ counts: this.#countsOf(first), all: true });
    for (const some of rest) this.#tell({ counts: this.#countsOf(some) });
  }

  #countsOf = (users: readonly string[]): Count[] => users.map((user) => [user, this.#local.get(user) ?? 0]);

  #tell(telling: Omit<Telling, 'gateway' | 'seq'>): void {
    const payload = JSON.stringify({
      gateway: this.#gateway,
      seq: ++this.#seq,
      ...telling,
    } satisfies Telling);
    this.#bus.publish([{ channel: CHANNELS.presence, payload }]).catch(() => {}); // The receivers notice the gap in `seq`.
  }

  #hear({ gateway, seq, counts, all, ask }: Telling): void {
    if (gateway === this.#gateway) return;
    if (ask === '*' || ask === this.#gateway) this.#tellAll();
    let peer = this.#peers.get(gateway);
    if (peer === undefined) {
      peer = { counts: new Map(), seq: Number.NaN, heardAt: 0, complete: false };
      this.#peers.set(gateway, peer);
    }
    const missed = !all && seq !== peer.seq + 1;
    peer.seq = seq;
    peer.heardAt = this.#clock.steady();
    if (counts !== undefined) this.#learn(peer.counts, counts, all === true);
    if (all) peer.complete = true;
    if (missed) this.#askFor(gateway, peer);
  }

  /** The question may be lost, too, so it is repeated with each tick. */
  #askFor(gateway: string, peer: Peer): void {
    peer.complete = false;
    this.#tell({ ask: gateway });
  }

  #learn(peer: Map<string, number>, counts: readonly Count[], all: boolean): void {
    const users = counts.map(([user]) => user);
    this.#changing(all ? [...new Set([...users, ...peer.keys()])] : users, () => {
      if (all) peer.clear();
      for (const [user, count] of counts) {
        if (count > 0) peer.set(user, count);
        else peer.delete(user);
      }
    });
  }

  #tick(): void {
    const now = this.#clock.steady();
    // This process itself stood still, so what the others said meanwhile is still unread.
    const stoodStill = now - this.#tickDue > SPEAK_EVERY_MS;
    this.#tickDue = now + SPEAK_EVERY_MS;
    this.#cancelTick = this.#clock.after(SPEAK_EVERY_MS, () => this.#tick());
    this.#tell({});
    for (const [gateway, peer] of this.#peers) {
      if (stoodStill) peer.heardAt = now;
      if (now - peer.heardAt >= GONE_AFTER_MS)
        this.#changing([...peer.counts.keys()], () => this.#peers.delete(gateway));
      else if (!peer.complete) this.#askFor(gateway, peer);
    }
  }

  /** Makes a change, and tells watchers what it means to them: one notice each, for however many users. */
  #changing(users: readonly string[], change: () => void): void {
    const watched = users.filter((user) => this.#watchers.has(user));
    const before = watched.map((user) => this.#shownOnline(user));
    change();
    const notices = new Map<Watcher, { online: string[]; offline: string[] }>();
    watched.forEach((user, i) => {
      const online = this.#shownOnline(user);
      if (online === before[i]) return;
      for (const watcher of this.#watchers.get(user) ?? []) {
        const notice = notices.get(watcher) ?? { online: [], offline: [] };
        notices.set(watcher, notice);
        (online ? notice.online : notice.offline).push(user);
      }
    });
    for (const [watcher, { online, offline }] of notices) watcher.presence(online, offline);
  }
}
