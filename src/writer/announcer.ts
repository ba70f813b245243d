import { randomUUID } from 'node:crypto';
import { CHANNELS } from '../bus/channels.ts';
import type { Bus, Publication } from '../core/bus.ts';
import type { BatchResult } from '../core/commands.ts';
import { type Beat, encodeMessages, encodeRevoked, encodeSignal } from '../core/events.ts';
import type { Committed } from './ledger.ts';
import { UserHeads } from './user-heads.ts';

/** Limit on users per beat. A busier writer beats more often. */
const BEAT_USERS_MAX = 1_000;

/** Tells gateways what was committed, in commit order, and publishes the beat. */
export class Announcer {
  readonly #bus: Bus;
  readonly #epoch: string;
  readonly #heads: UserHeads;
  #term = randomUUID();
  #seq = 0;
  #publishing: Promise<void> = Promise.resolve();
  #beating = false;
  #revoked: string[] = [];

  constructor(bus: Bus, epoch: string, head: number) {
    this.#bus = bus;
    this.#epoch = epoch;
    this.#heads = new UserHeads(head);
  }

  /**
   * Publishes what a transaction did. Resolves when the previous publication is out. Only one is under way at a time, so that a
   * slow bus slows the writer and does not fill its memory.
   */
  async announce(committed: Committed): Promise<void> {
    await this.#publishing;
    // Heads advance only now. A beat that named events not yet published would have gateways ask the store for them.
    // If the publication is lost, or partly lost, the next beat names its users, and then they do.
    this.#publishing = this.#bus.publish(this.#publicationsOf(committed)).catch(() => {});
    if (this.#heads.changedCount >= BEAT_USERS_MAX) this.beat({ ok: true });
  }

  /** Reports that the writer lives, whether it can commit, and the newest message of each user who got one. */
  beat(writer: Beat['writer']): void {
    // While the bus is unavailable, one beat waits, and gateways notice the silence.
    if (this.#beating) return;
    this.#beating = true;
    const beat: Beat = {
      term: this.#term,
      seq: ++this.#seq,
      epoch: this.#epoch,
      writer,
      heads: this.#heads.takeChanged(),
      revoked: this.#revoked.splice(0),
    };
    void this.#publishBeat(beat).then(() => {
      this.#beating = false;
    });
  }

  /** Resolves when everything announced so far is out. */
  async settled(): Promise<void> {
    await this.#publishing;
  }

  async #publishBeat(beat: Beat): Promise<void> {
    try {
      await this.#bus.publish([{ channel: CHANNELS.beat, payload: JSON.stringify(beat) }]);
    } catch {
      // The beat may be lost, and no other one names these users. A new term makes gateways ask the store about everybody.
      this.#term = randomUUID();
      this.#seq = 0;
    }
  }

  #publicationsOf({ messages, signals, ended, results }: Committed): Publication[] {
    const publications: Publication[] = [];
    const byUser = new Map<string, { prev: number; at: number; ids: number[]; frames: string[] }>();
    for (const { id, from, to, frame, at } of messages) {
      for (const user of from === to ? [from] : [from, to]) {
        const prev = this.#heads.advance(user, id);
        const events = byUser.get(user);
        if (events === undefined) byUser.set(user, { prev, at, ids: [id], frames: [frame] });
        else {
          events.ids.push(id);
          events.frames.push(frame);
        }
      }
    }
    for (const [user, { prev, at, ids, frames }] of byUser) {
      publications.push({ channel: CHANNELS.user(user), payload: encodeMessages(prev, at, ids, frames) });
    }
    for (const { user, frame } of signals) {
      publications.push({ channel: CHANNELS.user(user), payload: encodeSignal(frame) });
    }
    for (const { user, version, tokenId } of ended) {
      this.#revoked.push(user);
      publications.push({ channel: CHANNELS.user(user), payload: encodeRevoked(version, tokenId) });
    }
    for (const { gateway, seq, outcomes } of results) {
      const result: BatchResult = { seq, outcomes };
      publications.push({ channel: CHANNELS.gateway(gateway), payload: JSON.stringify(result) });
    }
    return publications;
  }
}
