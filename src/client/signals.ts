import { LIMITS } from '../contract/limits.ts';
import { isMessageId, isUserId, userList } from './arguments.ts';
import { type Clock, elapsedMs } from './clock.ts';
import type { Emitter } from './emitter.ts';
import { ClientError } from './errors.ts';
import type { ClientEvents } from './types.ts';
import type { ClientFrame, Presence, ReadMark } from './wire.ts';

/** Rule S2: how often one tells, and how long one believes. */
const TYPING_EVERY_MS = 3_000;
const TYPING_FOR_MS = 6_000;
/** After a refused signal. */
const REPEAT_MS = 1_000;
/** Who may be typing at once, as far as this client keeps count. */
const TYPISTS = 1_000;

export type SignalsOptions = {
  readonly clock: Clock;
  readonly emitter: Emitter<ClientEvents>;
  /** Puts a frame on the socket; false if there is none that takes it. */
  readonly send: (frame: ClientFrame) => boolean;
  readonly problem: (error: unknown, during: string) => void;
};

type Marker = { id: number; confirmed: boolean };

/** Read markers, typing and presence: what each is worth when a socket is lost. */
export class Signals {
  readonly #send: SignalsOptions['send'];
  readonly #emitter: Emitter<ClientEvents>;
  readonly #clock: Clock;
  readonly #problem: SignalsOptions['problem'];
  /** Highest marker of each conversation. Kept until confirmed, for it is durable on the server. */
  readonly #markers = new Map<string, Marker>();
  /** The newest message that is known to exist; each connection tells it before anything is sent there. */
  #newest = 0;
  /** Whom this client told that its user types, and when. */
  readonly #told = new Map<string, number>();
  readonly #typists = new Map<string, () => void>();
  #watched: readonly string[] = [];
  #watchAnswered = true;
  #cancelRepeat: (() => void) | null = null;

  constructor({ clock, emitter, send, problem }: SignalsOptions) {
    this.#clock = clock;
    this.#emitter = emitter;
    this.#send = send;
    this.#problem = problem;
  }

  markRead(user: string, id: number): void {
    // The messages of nobody, in an old database, are read as others are (M2).
    if (user !== '' && !this.#isUser(user, 'markRead')) return;
    if (!isMessageId(id)) {
      this.#problem(new ClientError('invalid_frame', 'A message id is a positive integer.'), 'markRead');
      return;
    }
    if ((this.#markers.get(user)?.id ?? 0) >= id) return;
    const sent = this.#send({ type: 'read', with: user, id });
    // The server takes it for what there is now. Sent again, it must not count what has come since.
    this.#markers.set(user, { id: sent ? Math.min(id, this.#newest) : id, confirmed: false });
  }

  /** A message with this id exists: the stream, or an answer that is ahead of it, has told of it. */
  exists(id: number): void {
    this.#newest = Math.max(this.#newest, id);
  }

  /** The server told its newest message. What it has confirmed in another past (`resync`) is confirmed no more. */
  connected(head: number, resync: boolean): void {
    this.#newest = head;
    for (const [user, marker] of this.#markers) {
      if (marker.confirmed && resync) this.#markers.delete(user);
      marker.id = Math.min(marker.id, head);
    }
  }

  typing(to: string): void {
    if (!this.#isUser(to, 'typing')) return;
    const last = this.#told.get(to);
    if (last !== undefined && elapsedMs(this.#clock, last) < TYPING_EVERY_MS) return;
    if (!this.#send({ type: 'typing', to })) return;
    for (const [user, at] of this.#told)
      if (elapsedMs(this.#clock, at) >= TYPING_EVERY_MS) this.#told.delete(user);
    this.#told.set(to, this.#clock.now());
  }

  /** A message ends the typing at the other side: the next key stroke is news again. */
  sent(to: string): void {
    this.#told.delete(to);
  }

  watch(users: readonly string[]): void {
    const set = [...new Set(userList(users))].filter((user) => this.#isUser(user, 'watch'));
    if (set.length > LIMITS.watchedUsers) {
      throw new ClientError('invalid_frame', `At most ${LIMITS.watchedUsers} users can be watched.`);
    }
    this.#watched = set;
    this.#sendWatch();
  }

  /** A new socket knows nothing of what the last one was told. */
  welcomed(): void {
    if (this.#watched.length > 0) this.#sendWatch();
    this.#sendMarkers();
  }

  lost(): void {
    this.#cancelRepeat?.();
    this.#cancelRepeat = null;
    this.#told.clear();
    for (const user of [...this.#typists.keys()]) this.stopped(user);
  }

  /** A frame was refused for now, and it may have been one of these. */
  refused(): void {
    this.#cancelRepeat ??= this.#clock.after(REPEAT_MS, () => {
      this.#cancelRepeat = null;
      if (!this.#watchAnswered) this.#sendWatch();
      this.#sendMarkers();
    });
  }

  /** Another user logs in. */
  reset(): void {
    this.lost();
    this.#markers.clear();
    this.#watched = [];
    this.#watchAnswered = true;
  }

  read(mark: ReadMark, me: string): void {
    if (mark.user === me) {
      const mine = this.#markers.get(mark.with);
      if (mine === undefined || mine.id <= mark.id)
        this.#markers.set(mark.with, { id: mark.id, confirmed: true });
    }
    this.#emitter.emit('read', mark);
  }

  started(from: string): void {
    const cancel = this.#typists.get(from);
    cancel?.();
    if (cancel === undefined && this.#typists.size >= TYPISTS) return;
    this.#typists.set(
      from,
      this.#clock.after(TYPING_FOR_MS, () => this.stopped(from)),
    );
    if (cancel === undefined) this.#emitter.emit('typing', { from, typing: true });
  }

  stopped(from: string): void {
    const cancel = this.#typists.get(from);
    if (cancel === undefined) return;
    cancel();
    this.#typists.delete(from);
    this.#emitter.emit('typing', { from, typing: false });
  }

  presence(presence: Presence): void {
    this.#watchAnswered = true;
    this.#emitter.emit('presence', presence);
  }

  /** Read markers that no server has confirmed. */
  #sendMarkers(): void {
    for (const [user, marker] of this.#markers) {
      if (marker.confirmed) continue;
      // Also one that a listener of `resync` has set, after the head was told.
      marker.id = Math.min(marker.id, this.#newest);
      this.#send({ type: 'read', with: user, id: marker.id });
    }
  }

  /** An id that can be nobody's is passed over: the server would refuse the whole frame, now and after each reconnect. */
  #isUser(id: string, during: string): boolean {
    if (isUserId(id)) return true;
    this.#problem(new ClientError('unknown_user'), during);
    return false;
  }

  #sendWatch(): void {
    this.#watchAnswered = false;
    this.#send({ type: 'watch', users: [...this.#watched] });
  }
}
