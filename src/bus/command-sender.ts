import type { Clock } from '../base/clock.ts';
import type { Bus } from '../core/bus.ts';
import {
  type BatchResult,
  type Command,
  type CommandBatch,
  type CommandSink,
  type Outcome,
  unitsOf,
} from '../core/commands.ts';
import { CHANNELS } from './channels.ts';

/** Commands in one log entry, and the text in them in UTF-16 units, but for the last: a writer reads 64 entries at once. */
const BATCH_MAX = 500;
const BATCH_UNITS_MAX = 256 * 1024;
/** Appends under way at once: the next batch collects while one is. */
const APPENDS_MAX = 2;
/**
 * What comes alone is appended at once. The next append begins a millisecond later for every four commands in this one, and
 * four later at most, so batches grow with load: measured at half of the full load on 2 cores, 4 ms cost 8 to 16 % less CPU per
 * message in all processes than 1 ms, embedded and with Redis, and nothing at the median, since whoever is less busy answers
 * sooner.
 */
const COMMANDS_PER_MS_APART = 4;
const APPENDS_APART_MAX_MS = 4;
/** Commands handed in and not settled, and the text in them in UTF-16 units, before more are refused. */
const PENDING_MAX = 20_000;
const PENDING_UNITS_MAX = 32 * 1024 * 1024;
/**
 * A batch without a result is appended again after this (then after twice as long, so that a slow writer is not buried),
 * and given up after that, in milliseconds.
 */
const RESEND_AFTER_MS = 3_000;
const GIVE_UP_AFTER_MS = 30_000;
const CHECK_EVERY_MS = 500;
/** A gateway without sends proves this often that one would be answered, in milliseconds. */
const CANARY_EVERY_MS = 2_000;
/**
 * A writer that has not been heard for this long is not about to come back: what is taken in would fill the log, for as long as
 * clients go on. A shorter silence costs delay only, in milliseconds.
 */
const SILENCE_MAX_MS = 10_000;
/** Sends that wait for longer than this mean that something is wrong, in milliseconds. */
const WAIT_MAX_MS = 4_000;

type Settle = (outcome: Outcome) => void;
type Pending = {
  batch: CommandBatch;
  settle: readonly Settle[];
  /** When its oldest command came in, by the steady clock, as all times here. */
  readonly since: number;
  /** When it was last appended; undefined while an append is under way. */
  sentAt: number | undefined;
  tries: number;
};

const DONE: Outcome = { kind: 'done' };
const UNAVAILABLE: Outcome = { kind: 'refused', code: 'unavailable' };
const OVERLOADED: Outcome = { kind: 'refused', code: 'overloaded' };

/**
 * The gateway's end of the command log. Commands are collected while an append is under way, appended as one entry, and
 * settled by the writer's result. Results and entries may be lost (G5), so a batch without a result is appended
 * again; commands are idempotent.
 */
export class CommandSender implements CommandSink {
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #gateway: string;
  readonly #pending = new Map<number, Pending>();
  #commands: Command[] = [];
  /** When the oldest command that is in no batch yet came in: as others count time, and by the steady clock. */
  #firstAt = 0;
  #firstSince = 0;
  #settle: Settle[] = [];
  #unsettled = 0;
  #units = 0;
  #appending = 0;
  #scheduled = false;
  #resting = false;
  #nextSeq = 1;
  #settledAt = Number.NEGATIVE_INFINITY;
  #writerOk = true;
  #heardAt: number;
  #cancelCheck: () => void = () => {};

  constructor(bus: Bus, clock: Clock, gateway: string) {
    this.#bus = bus;
    this.#clock = clock;
    this.#gateway = gateway;
    this.#heardAt = clock.steady();
  }

  async start(): Promise<void> {
    await this.#bus.subscribe(CHANNELS.gateway(this.#gateway), (payload) =>
      this.#settleBatch(JSON.parse(payload)),
    );
    this.#bus.onGap(() => this.#askAgain());
    this.#scheduleCheck();
  }

  stop(): void {
    this.#cancelCheck();
    this.#bus.unsubscribe(CHANNELS.gateway(this.#gateway));
  }

  /** Commands handed in and not settled yet. */
  get unsettled(): number {
    return this.#unsettled;
  }

  /** Why sends are not answered; undefined if they are. */
  get trouble(): string | undefined {
    const oldest = Math.min(
      this.#pending.values().next().value?.since ?? Number.POSITIVE_INFINITY,
      this.#commands.length > 0 ? this.#firstSince : Number.POSITIVE_INFINITY,
    );
    const wait = this.#clock.steady() - oldest;
    return wait > WAIT_MAX_MS ? `sends have waited for ${Math.round(wait / 1000)} s` : undefined;
  }

  /** The writer was heard. While it says that it can't commit, new commands are refused at once; those under way wait for it. */
  heard(writerOk: boolean): void {
    this.#writerOk = writerOk;
    this.#heardAt = this.#clock.steady();
  }

  /**
   * A batch of nothing takes the way of every other, through the log, a commit and the result's publication. The first batch is
   * answered with a beat, too.
   */
  sendCanary(): void {
    this.#begin(this.#clock.now(), this.#clock.steady(), [], []);
  }

  submit(command: Command, settle: Settle): void {
    if (!this.#writerOk || this.#clock.steady() - this.#heardAt > SILENCE_MAX_MS) return settle(UNAVAILABLE);
    if (this.#unsettled >= PENDING_MAX || this.#units >= PENDING_UNITS_MAX) return settle(OVERLOADED);
    this.#unsettled++;
    this.#units += unitsOf(command);
    if (this.#commands.length === 0) {
      this.#firstAt = this.#clock.now();
      this.#firstSince = this.#clock.steady();
    }
    this.#commands.push(command);
    this.#settle.push(settle);
    if (!this.#scheduled && !this.#resting) {
      this.#scheduled = true;
      // What else arrives in this turn of the event loop joins the batch.
      setImmediate(() => {
        this.#scheduled = false;
        this.#flush();
      });
    }
  }

  #flush(): void {
    if (this.#resting || this.#commands.length === 0 || this.#appending >= APPENDS_MAX) return;
    const rest = Math.min(Math.ceil(this.#commands.length / COMMANDS_PER_MS_APART), APPENDS_APART_MAX_MS);
    while (this.#commands.length > 0 && this.#appending < APPENDS_MAX) {
      const count = this.#nextCount();
      this.#begin(
        this.#firstAt,
        this.#firstSince,
        this.#commands.splice(0, count),
        this.#settle.splice(0, count),
      );
    }
    this.#resting = true;
    this.#clock.after(rest, () => {
      this.#resting = false;
      this.#flush();
    });
  }

  /** How many commands the next batch takes. */
  #nextCount(): number {
    let units = 0;
    for (const [i, command] of this.#commands.entries()) {
      if (i === BATCH_MAX || units >= BATCH_UNITS_MAX) return i;
      units += unitsOf(command);
    }
    return this.#commands.length;
  }

  #begin(at: number, since: number, commands: readonly Command[], settle: readonly Settle[]): void {
    const batch: CommandBatch = { gateway: this.#gateway, seq: this.#nextSeq++, at, commands };
    const pending: Pending = { batch, settle, since, sentAt: undefined, tries: 0 };
    this.#pending.set(batch.seq, pending);
    this.#append(pending);
  }

  #append(pending: Pending): void {
    pending.sentAt = undefined;
    pending.tries++;
    this.#appending++;
    this.#bus
      .append(JSON.stringify(pending.batch))
      .catch(() => {}) // It stays pending, and is appended again.
      .finally(() => {
        pending.sentAt = this.#clock.steady();
        this.#appending--;
        this.#flush();
      });
  }

  #settleBatch({ seq, outcomes }: BatchResult): void {
    const pending = this.#pending.get(seq);
    if (pending === undefined) return; // The answer to a batch that was sent twice.
    this.#settledAt = this.#clock.steady();
    const exceptions = new Map(outcomes);
    for (const [i, settle] of this.#take(pending).entries()) settle(exceptions.get(i) ?? DONE);
  }

  /** Takes a batch off the list. @returns who waits for its commands */
  #take(pending: Pending): readonly Settle[] {
    const { batch, settle } = pending;
    this.#pending.delete(batch.seq);
    this.#release(batch.commands);
    // The map's outgrown tables refer to what was in them until the next full collection: measured, they kept every text
    // through two scavenges, which took twice as long.
    pending.batch = { ...batch, commands: [] };
    pending.settle = [];
    return settle;
  }

  /** Results may have been missed: whatever waits for one is appended again, and does not pay for earlier tries. */
  #askAgain(): void {
    for (const pending of this.#pending.values()) {
      pending.tries = 0;
      if (pending.sentAt !== undefined) this.#append(pending);
    }
  }

  #scheduleCheck(): void {
    const due = this.#clock.steady() + CHECK_EVERY_MS;
    this.#cancelCheck = this.#clock.after(CHECK_EVERY_MS, () => {
      // This process itself stood still: what the writer said meanwhile has not been read.
      if (this.#clock.steady() - due > CHECK_EVERY_MS) this.#heardAt = this.#clock.steady();
      this.#check();
      this.#scheduleCheck();
    });
  }

  #check(): void {
    const now = this.#clock.steady();
    if (this.#commands.length > 0 && now - this.#firstSince >= GIVE_UP_AFTER_MS) {
      // The bus has been away all the time: these did not even get into a batch.
      this.#release(this.#commands.splice(0));
      giveUp(this.#settle.splice(0));
    }
    if (this.#pending.size === 0 && now - this.#settledAt >= CANARY_EVERY_MS) this.sendCanary();
    for (const pending of this.#pending.values()) {
      if (now - pending.since >= GIVE_UP_AFTER_MS) {
        giveUp(this.#take(pending));
      } else if (
        // A silent writer finds it in the log when it is back; if the log was lost meanwhile, it is appended then.
        now - this.#heardAt < RESEND_AFTER_MS &&
        pending.sentAt !== undefined &&
        now - pending.sentAt >= RESEND_AFTER_MS * 2 ** (pending.tries - 1)
      ) {
        this.#append(pending);
      }
    }
  }

  #release(commands: readonly Command[]): void {
    this.#unsettled -= commands.length;
    for (const command of commands) this.#units -= unitsOf(command);
  }
}

function giveUp(settlers: readonly Settle[]): void {
  for (const settle of settlers) settle(UNAVAILABLE);
}
