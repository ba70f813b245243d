import { sleep } from '../base/clock.ts';
import type { Service } from '../base/life-cycle.ts';
import type { Bus, LogEntry, Position } from '../core/bus.ts';
import type { Beat } from '../core/events.ts';
import { reason } from '../db/open.ts';
import { Fenced } from '../db/store-row.ts';
import type { Logger } from '../ops/logger.ts';
import type { WriterMetrics } from '../ops/metrics.ts';
import { Announcer } from './announcer.ts';
import { type Group, groupEntries } from './group-commit.ts';
import type { Committed, Ledger } from './ledger.ts';

/** Log entries per read, and how long to wait for the first, in milliseconds. */
const ENTRIES_MAX = 64;
const READ_WAIT_MS = 1_000;
const BEAT_EVERY_MS = 500;
/** An idle writer proves this often that it can commit, in milliseconds. */
const CANARY_EVERY_MS = 2_000;
/** How often committed entries are removed from the log, in milliseconds, so that it does not outgrow the broker's young space. */
const TRIM_EVERY_MS = 100;
/** Pause before a failed commit or read is retried, in milliseconds. */
const RETRY_MS = 200;
/** When stopping, time to commit and announce what has been read, in milliseconds: Redis may be unavailable. */
const LAST_WORDS_MS = 1_000;

/**
 * The one process that writes the database. It reads commands from the log, commits them in groups, and announces what was
 * committed. It continues from the position in the database, so a crash at any point loses and repeats nothing.
 */
export class Writer implements Service {
  readonly #bus: Bus;
  readonly #ledger: Ledger;
  readonly #announcer: Announcer;
  readonly #log: Logger;
  readonly #metrics: WriterMetrics;
  readonly #onFenced: (error: Fenced) => void;
  readonly #stopping = new AbortController();
  #position: Position | undefined;
  #health: Beat['writer'] = { ok: true };
  /** A group could not be committed, and is being retried. Meanwhile, other transactions that succeed don't prove that sends work. */
  #retrying = false;
  #committedAt = Number.NEGATIVE_INFINITY;
  #trimmedAt = Number.NEGATIVE_INFINITY;
  #beatTimer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #closed = false;
  /** The last logged reason why the log can't be read. */
  #unreadable: string | undefined;

  constructor(
    bus: Bus,
    ledger: Ledger,
    log: Logger,
    metrics: WriterMetrics,
    onFenced: (error: Fenced) => void,
  ) {
    this.#bus = bus;
    this.#ledger = ledger;
    this.#log = log;
    this.#metrics = metrics;
    this.#onFenced = onFenced;
    this.#announcer = new Announcer(bus, ledger.identity.epoch, ledger.head);
    this.#position = ledger.position;
  }

  async start(): Promise<void> {
    this.#beatTimer = setInterval(() => this.#beat(), BEAT_EVERY_MS);
    this.#running = this.#run();
    this.#beat();
  }

  /** Why nothing can be committed, in words; undefined if it can. */
  get commitTrouble(): string | undefined {
    return this.#health.ok ? undefined : this.#health.reason;
  }

  /** Commits and announces what has been read, then stops. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#beatTimer);
    // Commands that are not committed now stay in the log. Commits that are not announced are found by gateways in the store.
    await Promise.race([this.#running.then(() => this.#announcer.settled()), sleep(LAST_WORDS_MS)]);
    this.#closed = true;
    this.#ledger.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        const entries = await this.#read();
        this.#unreadable = undefined;
        const groups = groupEntries(entries, (entry, err) => {
          this.#log.error(
            { event: 'log_entry_unreadable', err, position: entry.position },
            'command log entry is not readable: passed over',
          );
        });
        for (const group of groups) {
          // A later group would move the log position past this one.
          if (this.#closed || !(await this.#commit(group))) return;
        }
        // If nothing was read, the position may be from a log that Redis has lost: new entries can stand below it.
        if (entries.length > 0) this.#trim();
      } catch (err) {
        if (this.#stopping.signal.aborted) return;
        const why = (err as Error).message;
        if (why !== this.#unreadable)
          this.#log.warn({ event: 'log_not_readable', err }, 'the command log cannot be read: tried again');
        this.#unreadable = why;
        await sleep(RETRY_MS, this.#stopping.signal);
      }
    }
  }

  /** Resolves with nothing as soon as the writer is to stop: while Redis is unavailable, it would not answer. */
  #read(): Promise<readonly LogEntry[]> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly LogEntry[]>();
    const { signal } = this.#stopping;
    if (signal.aborted) return Promise.resolve([]);
    const stop = (): void => resolve([]);
    signal.addEventListener('abort', stop, { once: true });
    this.#bus.read(this.#position, ENTRIES_MAX, READ_WAIT_MS).then(resolve, reject);
    return promise.finally(() => signal.removeEventListener('abort', stop));
  }

  /** @returns false if the writer was stopped, or replaced, before the group could be committed */
  async #commit(group: Group): Promise<boolean> {
    let committed: Committed | undefined;
    const measured = this.#metrics.commits.startTimer();
    while (committed === undefined) {
      committed = this.#attempt(() => this.#ledger.commit(group));
      if (committed !== undefined) break;
      this.#retrying = true;
      // The commands stay in the log, and are retried until the disk takes them.
      await sleep(RETRY_MS, this.#stopping.signal);
      if (this.#stopping.signal.aborted) return false;
    }
    this.#retrying = false;
    measured();
    this.#count(group, committed);
    this.#position = group.position;
    await this.#announcer.announce(committed);
    // A gateway's first batch: it has just started, and waits to hear that there is a writer.
    if (group.batches.some(({ seq }) => seq === 1)) this.#beat();
    return true;
  }

  /** Runs a transaction, and records whether one is possible. */
  #attempt<T>(transaction: () => T): T | undefined {
    try {
      const result = transaction();
      this.#committedAt = performance.now();
      if (!this.#health.ok) this.#log.info({ event: 'commits_again' }, 'commits work again');
      this.#health = { ok: true };
      return result;
    } catch (err) {
      if (err instanceof Fenced) {
        this.#stopping.abort();
        this.#onFenced(err);
        return undefined;
      }
      this.#metrics.failures.inc();
      const why = reason(err);
      if (this.#health.ok || this.#health.reason !== why)
        this.#log.error({ event: 'commit_failed', err, why }, 'commit failed: nothing is acknowledged');
      this.#health = { ok: false, reason: why };
      return undefined;
    }
  }

  #count(group: Group, committed: Committed): void {
    const now = Date.now();
    let commands = 0;
    for (const batch of group.batches) {
      commands += batch.commands.length;
      this.#metrics.lag.observe(Math.max(0, now - batch.at) / 1000);
    }
    this.#metrics.batch.observe(commands);
    this.#metrics.committed.inc(committed.messages.length);
  }

  #beat(): void {
    if (!this.#retrying && performance.now() - this.#committedAt >= CANARY_EVERY_MS)
      this.#attempt(() => this.#ledger.commitCanary());
    if (!this.#stopping.signal.aborted) this.#announcer.beat(this.#health);
  }

  #trim(): void {
    if (this.#position === undefined || performance.now() - this.#trimmedAt < TRIM_EVERY_MS) return;
    this.#trimmedAt = performance.now();
    this.#bus.trim(this.#position).catch(() => {}); // The log is bounded anyway.
  }
}
