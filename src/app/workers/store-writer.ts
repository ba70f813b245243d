import { existsSync, statSync } from 'node:fs';
import { hashPassword } from '../../auth/passwords.ts';
import { sleep } from '../../base/clock.ts';
import type { Service } from '../../base/life-cycle.ts';
import type { WriterStatus } from '../../cluster/messages.ts';
import type { Bus } from '../../core/bus.ts';
import type { DatabaseIdentity, LeaseAnswer, Leaser } from '../../core/lease.ts';
import type { FileLock } from '../../db/file-lock.ts';
import {
  behindLinks,
  closeToOthers,
  companionBytes,
  createPrivate,
  isMissing,
  logBytes,
  putInPlace,
  removeDatabase,
} from '../../db/files.ts';
import { isCurrent, isOurs, migrate, refuseForeign } from '../../db/migrate.ts';
import {
  cannotOpen,
  DatabaseError,
  NewerSchema,
  openForReading,
  openForWriting,
  reason,
  rollBackHotJournal,
} from '../../db/open.ts';
import { readIdentity } from '../../db/store-row.ts';
import type { Logger } from '../../ops/logger.ts';
import { WriterMetrics } from '../../ops/metrics.ts';
import { Checkpointer } from '../../writer/checkpointer.ts';
import { Ledger } from '../../writer/ledger.ts';
import { Writer } from '../../writer/writer.ts';

/** How often the lease is renewed, and how often it is requested while another store has it, in milliseconds. */
const RENEW_EVERY_MS = 500;
const ASK_EVERY_MS = 250;
/** A lease that was not renewed for this long has ended, and another store may have it. In milliseconds. */
const LAPSED_MS = 3_000;
/** How long to try to release the lease before it is left to expire, in milliseconds. */
const RELEASE_MS = 500;

type Denial = Extract<LeaseAnswer, { kind: 'taken' | 'refused' }>;

export interface StoreWriterEvents {
  status(status: WriterStatus): void;
  /** It has the lease, and opens the database: a migration may take long. */
  takingOver(): void;
  /** This process is the writer now. */
  leading(): void;
  /** It was the writer, and must not write any more. The process should end and start anew. */
  lost(why: string): void;
}

/**
 * A writer worker's life: waits for the lease, takes over the database, writes until it is stopped or replaced.
 *
 * standing by → (lease held) → open, migrate, claim the generation → leading → (lease lost, fenced) → end of process
 */
export class StoreWriter implements Service {
  readonly #path: string;
  readonly #hadDatabase: boolean;
  readonly #bus: Bus;
  readonly #leaser: Leaser;
  readonly #lock: FileLock | undefined;
  readonly #log: Logger;
  readonly #events: StoreWriterEvents;
  readonly metrics = new WriterMetrics({
    // While this store stands by, the file is another writer's.
    walBytes: () => (this.#ledger ? logBytes(this.#path) : 0),
  });
  #ledger: Ledger | undefined;
  #checkpointer: Checkpointer | undefined;
  readonly #stopping = new AbortController();
  #writer: Writer | undefined;
  #identity: DatabaseIdentity | undefined;
  /** Whether the file has this version's schema. */
  #readable = false;
  /** The file's identity when another writer was first heard of. */
  #first: DatabaseIdentity | undefined;
  #renewal: NodeJS.Timeout | undefined;
  #renewedAt = 0;
  #lapsed = false;
  #renewing: Promise<void> | undefined;
  #said = '';

  /** @param hadDatabase a writer of this node has had a database: if there is none now, no new one is created */
  constructor(
    path: string,
    bus: Bus,
    leaser: Leaser,
    lock: FileLock | undefined,
    log: Logger,
    events: StoreWriterEvents,
    hadDatabase = false,
  ) {
    this.#path = path;
    this.#hadDatabase = hadDatabase;
    this.#bus = bus;
    this.#leaser = leaser;
    this.#lock = lock;
    this.#log = log;
    this.#events = events;
  }

  /** Resolves when this process leads. Stands by while another does. Rejects if the database can't be used. */
  async start(): Promise<void> {
    if (this.#lock?.acquire() === false) {
      throw new DatabaseError(
        `The database ${this.#path} is in use by a node without Redis, or being restored.`,
      );
    }
    while (!this.#stopping.signal.aborted) {
      const answer = this.#overtaken() ?? (await this.#ask(this.#identity));
      // The lease was released meanwhile, or is about to be.
      if (this.#stopping.signal.aborted) return;
      if (answer.kind === 'held')
        return this.#lead().catch((error) => {
          throw cannotOpen(this.#path, error);
        });
      if (answer.kind === 'refused' || (answer.kind === 'taken' && this.#isWritten())) this.#say(answer);
      await sleep(ASK_EVERY_MS, this.#stopping.signal);
    }
  }

  /**
   * Reads the file's identity. A newer version may have migrated the file while this store stood by, or taken it over from the
   * writer before this one, which hung: that is no reason to end.
   */
  #overtaken(): Denial | undefined {
    try {
      this.#identity = this.#peek();
      return undefined;
    } catch (error) {
      const overtaken = this.#hadDatabase && error instanceof NewerSchema;
      if (!overtaken && (this.#first === undefined || !(error instanceof DatabaseError)))
        throw cannotOpen(this.#path, error);
      return { kind: 'refused', reason: reason(error) };
    }
  }

  /**
   * Whether the file is the one that the other writer writes: that one grows at least every 2 s. A copy looks the same for a
   * moment, and would be served meanwhile. Without a coordinator there is only one file.
   */
  #isWritten(): boolean {
    if (this.#lock === undefined) return true;
    this.#first ??= this.#identity;
    return (this.#identity?.transactions ?? 0) > (this.#first?.transactions ?? 0);
  }

  /** Why nothing can be committed, in words; undefined if it can, or another store writes. */
  get commitTrouble(): string | undefined {
    return this.#writer?.commitTrouble;
  }

  /** Backs the database up to a file that does not exist yet. Resolves with the number of its pages. */
  async backUp(file: string): Promise<number> {
    if (this.#ledger === undefined) throw new Error('this node is not the writer');
    if (existsSync(file)) throw new Error(`${file} exists already`);
    for (const log of [`${file}-wal`, `${file}-journal`]) {
      // It belongs to another database, and would be replayed onto this one. A reader may leave an empty one.
      if (statSync(log, { throwIfNoEntry: false })?.size) throw new Error(`${log} exists already`);
    }
    const partial = `${file}.partial`;
    try {
      // Left by a writer that ended during a back-up.
      await removeDatabase(partial);
      await createPrivate(partial);
      const pages = await this.#ledger.backUp(partial);
      await putInPlace(partial, file);
      this.#log.info({ event: 'backed_up', file, pages }, 'database backed up');
      return pages;
    } catch (error) {
      await removeDatabase(partial).catch(() => {});
      throw new Error(reason(error), { cause: error });
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#renewal);
    await this.#checkpointer?.stop();
    await this.#writer?.stop();
    await Promise.race([this.#giveUp(), sleep(RELEASE_MS)]);
  }

  async #giveUp(): Promise<void> {
    // Records how far the database has got: a copy without the last commits must not lead next.
    if (this.#ledger) await this.#leaser.renew(this.#ledger.identity);
    await this.#leaser.release();
  }

  /** Redis may be full, or refuse this user. A person has to fix that, and the store keeps trying. */
  async #ask(identity: DatabaseIdentity | undefined): Promise<LeaseAnswer> {
    try {
      return await this.#leaser.acquire(identity);
    } catch (error) {
      // The lock file beside the database can't be opened.
      if (error instanceof DatabaseError) throw error;
      const why = (error as Error).message;
      if (why !== this.#said)
        this.#log.warn({ event: 'lease_failed', why }, 'the lease cannot be asked for: tried again');
      this.#said = why;
      return { kind: 'undecided' };
    }
  }

  async #lead(): Promise<void> {
    this.#events.takingOver();
    // Renewed from now on, since a migration may take longer than the lease.
    this.#renewal = setInterval(() => {
      void this.#renew();
      this.#tellLapse();
    }, RENEW_EVERY_MS);
    const db = openForWriting(this.#path, refuseForeign);
    const open = closeToOthers(this.#path);
    if (open.length > 0)
      this.#log.warn(
        { event: 'open_to_others', files: open },
        `other users of this machine may read ${open.join(', ')}, where messages, password hashes and the token secret are, and this user can't change that: have the owner chmod them to 600`,
      );
    const report = await migrate(db, hashPassword);
    if (report.imported)
      this.#log.info({ event: 'imported', ...report.imported }, 'database of the old chat app taken over');
    else if (report.from !== report.to) this.#log.info({ event: 'migrated', ...report }, 'database migrated');
    // Claiming the generation would fence the writer that has the lease by now.
    if (this.#stopping.signal.aborted) return void db.close();
    const ledger = new Ledger(db, (err) =>
      this.#log.error({ event: 'command_failed', err }, 'a command could not be applied'),
    );
    this.#ledger = ledger;
    await this.#renewing;
    await this.#renew();
    this.#checkpointer = new Checkpointer(this.#path, ledger, (err) =>
      this.#log.error(
        { event: 'checkpoint_thread_ended', err },
        'the checkpoint thread ended: commits do checkpoints themselves',
      ),
    );
    this.#writer = new Writer(this.#bus, ledger, this.#log, this.metrics, (fenced) =>
      this.#events.lost(fenced.message),
    );
    await this.#writer.start();
    const { generation, databaseId, epoch } = ledger.identity;
    this.#log.info(
      { event: 'leading', generation, databaseId, epoch, head: ledger.head },
      'this node writes the database',
    );
    this.#events.status({ kind: 'leader', generation, lapsed: false });
    this.#events.leading();
  }

  /** One at a time, since renewals would pile up while Redis is unavailable. */
  #renew(): Promise<void> {
    this.#renewing ??= this.#renewOnce().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renewOnce(): Promise<void> {
    try {
      const answer = this.#ledger
        ? await this.#leaser.renew(this.#ledger.identity)
        : await this.#leaser.acquire(this.#identity);
      if (answer.kind === 'held') this.#renewedAt = performance.now();
      else if (answer.kind !== 'undecided') this.#events.lost(describe(answer));
    } catch {
      // Redis is unavailable. Nobody else can take the lease either, and the generation guards the database.
    }
  }

  #tellLapse(): void {
    const lapsed = performance.now() - this.#renewedAt > LAPSED_MS;
    if (this.#ledger === undefined || this.#writer === undefined || lapsed === this.#lapsed) return;
    this.#lapsed = lapsed;
    this.#events.status({ kind: 'leader', generation: this.#ledger.identity.generation, lapsed });
  }

  /** The file's identity, even if it has yet to be migrated; undefined while there is no file of ours. */
  #peek(): DatabaseIdentity | undefined {
    if (isMissing(this.#path)) {
      this.#assertMayBegin();
      return undefined;
    }
    rollBackHotJournal(this.#path);
    const db = openForReading(this.#path);
    try {
      refuseForeign(db);
      this.#readable = isCurrent(db);
      return isOurs(db) ? readIdentity(db) : undefined;
    } finally {
      db.close();
    }
  }

  /** @throws DatabaseError if there was a database: a new one would be mistaken for it, or destroy what is left of it */
  #assertMayBegin(): void {
    const target = behindLinks(this.#path);
    const [restoring, log] = [`${target}.restoring`, `${target}-wal`];
    if (existsSync(restoring))
      throw new DatabaseError(
        `The database ${this.#path} is not there, and a restore of it was broken off: restore again. For a new one, remove ${restoring}.`,
      );
    // SQLite deletes a log that it finds beside an empty file.
    if (companionBytes(this.#path, '-wal') > 0)
      throw new DatabaseError(
        `The database ${this.#path} is not there, or empty, but its log ${log} is there and may hold its newest messages: put the file back beside it. For a new database, move the log away.`,
      );
    if (this.#hadDatabase)
      throw new DatabaseError(
        `The database ${this.#path} was moved or deleted while the server ran: put it back, with its -wal, or restore a back-up. For a new one, start the server again.`,
      );
  }

  #say(answer: Denial): void {
    const words = describe(answer, this.#readable);
    if (words === this.#said) return;
    this.#said = words;
    if (answer.kind === 'taken') {
      this.#log.info({ event: 'standing_by', holder: answer.holder }, words);
      this.#events.status({ kind: 'standby', holder: answer.holder, readable: this.#readable });
    } else {
      this.#log.warn({ event: 'refused' }, words);
      this.#events.status({ kind: 'refused', reason: words });
    }
  }
}

function describe(answer: Denial, readable = true): string {
  return answer.kind === 'taken'
    ? `the database is written by ${answer.holder}: this node stands by${readable ? '' : ', and serves no queries before it has migrated it'}`
    : `this node does not write, and serves no queries: ${answer.reason}`;
}
