import type { Clock } from '../base/clock.ts';
import type { Bus } from '../core/bus.ts';
import {
  type BatchResult,
  type Command,
  type CommandBatch,
  type CommandSink,
  decodeResult,
  type Outcome,
  unitsOf,
} from '../core/commands.ts';
import { CHANNELS } from './channels.ts';

/** Commands per log entry, and UTF-16 units of text that close a batch. A writer reads 64 entries at once. */
const BATCH_MAX = 500;
const BATCH_UNITS_MAX = 256 * 1024;
/** Concurrent appends. The next batch collects meanwhile. */
const APPENDS_MAX = 2;
/**
 * A lone command is appended at once. After an append, the next one waits a millisecond for every hundred commands in it, four
 * milliseconds at most, so that batches grow with load. Nobody else waits for company: the writer commits what there is. Measured
 * with Redis on 2 cores: had the writer waited 2 ms between commits as well, and this a millisecond for every fifty commands, a
 * message at half load would have taken 0.9 ms longer, and 1 ms at the 99th percentile, for a tenth less CPU.
 */
const COMMANDS_PER_MS_APART = 100;
const APPENDS_APART_MAX_MS = 4;
/** Unsettled commands, and UTF-16 units of text in them. Beyond either, new ones are refused. */
const PENDING_MAX = 20_000;
const PENDING_UNITS_MAX = 32 * 1024 * 1024;
/**
 * A batch without a result is appended again after RESEND_AFTER_MS, then after twice as long each time, so as not to bury a slow
 * writer. It is given up after GIVE_UP_AFTER_MS. In milliseconds.
 */
const RESEND_AFTER_MS = 3_000;
const GIVE_UP_AFTER_MS = 30_000;
const CHECK_EVERY_MS = 500;
/** A gateway without sends proves this often that a send would be answered, in milliseconds. */
const CANARY_EVERY_MS = 2_000;
/**
 * After this much silence, in milliseconds, the writer is not expected back soon. Commands are refused then: otherwise clients
 * would fill the log. A shorter silence only causes delay.
 */
const SILENCE_MAX_MS = 10_000;
/** Something is wrong if sends wait longer than this, in milliseconds. */
const WAIT_MAX_MS = 4_000;

type Settle = (outcome: Outcome) => void;
type Pending = {
  batch: CommandBatch;
  settle: readonly Settle[];
  /** When its oldest command was submitted, by the steady clock, like all times here. */
  readonly since: number;
  /** When it was last appended; undefined while it is being appended. */
  sentAt: number | undefined;
  tries: number;
};

const DONE: Outcome = { kind: 'done' };
const UNAVAILABLE: Outcome = { kind: 'refused', code: 'unavailable' };
const OVERLOADED: Outcome = { kind: 'refused', code: 'overloaded' };

/**
 * The gateway's end of the command log. Commands are collected during an append, appended as one entry, and settled by the
 * writer's result. Entries and results may be lost (G5), so a batch without a result is appended again: commands are idempotent.
 */
export class CommandSender implements CommandSink {
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #gateway: string;
  readonly #pending = new Map<number, Pending>();
  /** Commands outside any batch, oldest first: what they are, when they were submitted by the steady clock, and who waits. */
  #commands: Command[] = [];
  #since: number[] = [];
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
      this.#settleBatch(decodeResult(payload)),
    );
    this.#bus.onGap(() => this.#askAgain());
    this.#scheduleCheck();
  }

  stop(): void {
    this.#cancelCheck();
    this.#bus.unsubscribe(CHANNELS.gateway(this.#gateway));
  }

  /** Commands submitted and not settled yet. */
  get unsettled(): number {
    return this.#unsettled;
  }

  /** Why sends are not being answered; undefined if they are. */
  get trouble(): string | undefined {
    const oldest = Math.min(
      this.#pending.values().next().value?.since ?? Number.POSITIVE_INFINITY,
      this.#since[0] ?? Number.POSITIVE_INFINITY,
    );
    const wait = this.#clock.steady() - oldest;
    return wait > WAIT_MAX_MS ? `sends have waited for ${Math.round(wait / 1000)} s` : undefined;
  }

  /** The writer was heard. While it says that it can't commit, new commands are refused at once. Pending ones wait for it. */
  heard(writerOk: boolean): void {
    this.#writerOk = writerOk;
    this.#heardAt = this.#clock.steady();
  }

  /**
   * An empty batch takes the same way as any other: the log, a commit, and the publication of the result. The writer also answers
   * a gateway's first batch with a beat.
   */
  sendCanary(): void {
    this.#begin(this.#clock.steady(), [], []);
  }

  submit(command: Command, settle: Settle): void {
    const now = this.#clock.steady();
    if (!this.#writerOk || now - this.#heardAt > SILENCE_MAX_MS) return settle(UNAVAILABLE);
    if (this.#unsettled >= PENDING_MAX || this.#units >= PENDING_UNITS_MAX) return settle(OVERLOADED);
    this.#unsettled++;
    this.#units += unitsOf(command);
    this.#commands.push(command);
    this.#since.push(now);
    this.#settle.push(settle);
    if (!this.#scheduled && !this.#resting) {
      this.#scheduled = true;
      // Everything else that arrives in this turn of the event loop joins the batch.
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
      const [since] = this.#since.splice(0, count);
      this.#begin(since as number, this.#commands.splice(0, count), this.#settle.splice(0, count));
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

  /** @param since when the oldest of the commands was submitted, by the steady clock */
  #begin(since: number, commands: readonly Command[], settle: readonly Settle[]): void {
    const at = Math.round(this.#clock.now() - (this.#clock.steady() - since));
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
      .catch(() => {}) // It stays pending, and will be appended again.
      .finally(() => {
        pending.sentAt = this.#clock.steady();
        this.#appending--;
        this.#flush();
      });
  }

  #settleBatch({ seq, outcomes }: BatchResult): void {
    const pending = this.#pending.get(seq);
    if (pending === undefined) return; // A second result, of a batch that was appended twice.
    this.#settledAt = this.#clock.steady();
    const exceptions = new Map(outcomes);
    for (const [i, settle] of this.#take(pending).entries()) settle(exceptions.get(i) ?? DONE);
  }

  /** Removes a batch. @returns the callbacks of its commands */
  #take(pending: Pending): readonly Settle[] {
    const { batch, settle } = pending;
    this.#pending.delete(batch.seq);
    this.#release(batch.commands);
    // The map's outgrown tables keep references to removed entries until the next full collection. Measured: every text survived
    // two scavenges, which took twice as long.
    pending.batch = { ...batch, commands: [] };
    pending.settle = [];
    return settle;
  }

  /** Results may have been missed. Every batch that waits for one is appended again, without regard to its earlier tries. */
  #askAgain(): void {
    for (const pending of this.#pending.values()) {
      pending.tries = 0;
      if (pending.sentAt !== undefined) this.#append(pending);
    }
  }

  #scheduleCheck(): void {
    const due = this.#clock.steady() + CHECK_EVERY_MS;
    this.#cancelCheck = this.#clock.after(CHECK_EVERY_MS, () => {
      // This process itself stood still, so what the writer said meanwhile is still unread.
      if (this.#clock.steady() - due > CHECK_EVERY_MS) this.#heardAt = this.#clock.steady();
      this.#check();
      this.#scheduleCheck();
    });
  }

  #check(): void {
    const now = this.#clock.steady();
    // The bus was unavailable, or too slow, all the time: these never became part of a batch.
    const fresh = this.#since.findIndex((since) => now - since < GIVE_UP_AFTER_MS);
    const late = fresh < 0 ? this.#since.length : fresh;
    this.#since.splice(0, late);
    this.#release(this.#commands.splice(0, late));
    giveUp(this.#settle.splice(0, late));
    if (this.#pending.size === 0 && now - this.#settledAt >= CANARY_EVERY_MS) this.sendCanary();
    for (const pending of this.#pending.values()) {
      if (now - pending.since >= GIVE_UP_AFTER_MS) {
        giveUp(this.#take(pending));
      } else if (
        // A silent writer finds the batch in the log when it is back. If the log is lost meanwhile, the batch is appended then.
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
