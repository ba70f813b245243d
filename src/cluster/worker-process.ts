import type { Socket } from 'node:net';
import type { BrokerItem, BusItem, Link } from '../bus/ipc/items.ts';
import type { Logger } from '../ops/logger.ts';
import type { MetricsSnapshot } from '../ops/metrics.ts';
import type { ListenAddress } from './listen-address.ts';
import type { ToPrimary, ToWorker, WorkerState, WriterStatus } from './messages.ts';
import { PrimaryAttempts } from './primary-attempts.ts';

/** How often the worker reports its state and its metrics to the primary, in milliseconds. */
const REPORT_EVERY_MS = 1_000;
/** How long a worker that gets SIGTERM waits for word that the whole node shuts down, in milliseconds. */
const NODE_DRAIN_NOTICE_MS = 500;
/** EX_SOFTWARE of sysexits(3): a bug in the program. */
const EXIT_DEFECT = 70;

/** A worker's end of the channel to its primary. */
export class WorkerProcess {
  readonly #log: Logger;
  readonly #onDrain: () => Promise<void>;
  #onItems: (items: readonly BrokerItem[]) => void = () => {};
  #onBackup: (file: string) => void = (file) =>
    this.#post({ kind: 'backup', file, error: 'this node is not the writer' });
  readonly #peers: Socket[] = [];
  #onPeer: (socket: Socket) => void = (socket) => this.#peers.push(socket);
  #onTrouble: (trouble: string | undefined) => void = () => {};
  #report: () => Promise<void> = async () => {};
  readonly #serve = Promise.withResolvers<void>();
  #onServe: () => void = () => {};
  #nodeDraining = false;
  #draining = false;

  /** @param onDrain finishes the worker's work. The process exits after it. */
  constructor(log: Logger, onDrain: () => Promise<void>) {
    this.#log = log;
    this.#onDrain = onDrain;
    process.on('message', (message: ToWorker, socket: Socket | undefined) => this.#handle(message, socket));
    // Ctrl-C and the end of a terminal reach every process in it. The primary decides what follows.
    for (const signal of ['SIGINT', 'SIGHUP']) process.on(signal, () => {});
    // systemd signals every process of a unit: then, too, the primary decides. A signal to this worker alone makes it drain.
    process.on('SIGTERM', () => {
      setTimeout(() => {
        if (!this.#nodeDraining) void this.#drain();
      }, NODE_DRAIN_NOTICE_MS);
    });
    process.on('uncaughtException', (err) => {
      log.fatal({ event: 'uncaught_error', err, stack: err.stack }, 'uncaught error: the worker ends');
      process.exit(EXIT_DEFECT);
    });
    process.on('unhandledRejection', (reason) => {
      throw reason;
    });
  }

  readonly bus: Link<BusItem, BrokerItem> = {
    send: (items) => this.#post({ kind: 'bus', items }),
    onItems: (listener) => {
      this.#onItems = listener;
    },
  };

  /** Calls `listener` with each socket to a peer: a gateway's to the writer, the writer's to a gateway. */
  onPeer(listener: (socket: Socket) => void): void {
    this.#onPeer = listener;
    for (const socket of this.#peers.splice(0)) listener(socket);
  }

  /** A gateway's socket to the writer has ended, or has not come: asks for another one. */
  peerLost(): void {
    this.#post({ kind: 'peer-lost' });
  }

  /** Has attempts counted for all of the node's workers. */
  readonly attempts = new PrimaryAttempts((ref, attempt) => this.#post({ kind: 'attempt', ref, attempt }));

  /** Resolves once the database may be read. */
  readonly mayServe = this.#serve.promise;

  /** Calls `listener` each time a writer says that the database may be read: the writer, or the file, may be another one. */
  onServe(listener: () => void): void {
    this.#onServe = listener;
  }

  onTrouble(listener: (trouble: string | undefined) => void): void {
    this.#onTrouble = listener;
  }

  /** Keeps reporting the worker's metrics and state to the primary. */
  report(metrics: { snapshot(): Promise<MetricsSnapshot> }, state: () => WorkerState): void {
    this.#report = async () => {
      const message: ToPrimary = { kind: 'report', metrics: await metrics.snapshot(), state: state() };
      if (!process.connected) return;
      await new Promise<void>((sent) => process.send?.(message, undefined, undefined, () => sent()));
    };
    const timer = setInterval(() => void this.#report(), REPORT_EVERY_MS);
    timer.unref();
  }

  /** Answers the primary's requests for a back-up. `backUp` resolves with the number of pages. */
  onBackup(backUp: (file: string) => Promise<number>): void {
    this.#onBackup = (file) => {
      backUp(file).then(
        (pages) => this.#post({ kind: 'backup', file, pages }),
        (error: Error) => this.#post({ kind: 'backup', file, error: error.message }),
      );
    };
  }

  /** @param address where a gateway listens */
  ready(address?: ListenAddress): void {
    this.#post({ kind: 'ready', address });
  }

  writer(status: WriterStatus): void {
    this.#post({ kind: 'writer', status });
  }

  takingOver(): void {
    this.#post({ kind: 'taking-over' });
  }

  /** Reports why the worker can't work, and ends it. If it drains, its start was broken off, and it ends anyway. */
  fail(reason: string): void {
    if (this.#draining) return;
    process.send?.({ kind: 'failed', reason } satisfies ToPrimary, undefined, undefined, () =>
      process.exit(1),
    );
  }

  /** Ends the worker at once. Its successor starts clean. */
  exit(reason: string): void {
    this.#log.error({ event: 'worker_ends', reason }, 'the worker ends');
    process.exit(1);
  }

  #post(message: ToPrimary): void {
    if (process.connected) process.send?.(message, undefined, undefined, () => {});
  }

  #handle(message: ToWorker, socket: Socket | undefined): void {
    switch (message.kind) {
      case 'bus':
        return this.#onItems(message.items);
      case 'ping':
        return this.#post({ kind: 'pong' });
      case 'trouble':
        return this.#onTrouble(message.trouble);
      case 'backup':
        return this.#onBackup(message.file);
      case 'attempt':
        return this.attempts.answered(message.ref, message.waitMs);
      case 'peer':
        // It may have ended on its way here.
        if (socket) this.#onPeer(socket);
        return;
      case 'serve':
        this.#serve.resolve();
        return this.#onServe();
      case 'draining':
        this.#nodeDraining = true;
        return;
      case 'drain':
        void this.#drain();
        return;
    }
  }

  async #drain(): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    try {
      await this.#onDrain();
    } catch (err) {
      this.#log.error({ event: 'shutdown_not_clean', err }, 'shutdown was not clean');
    }
    // Otherwise, the counts of its last second would be lost.
    await this.#report();
    process.exit(0);
  }
}
