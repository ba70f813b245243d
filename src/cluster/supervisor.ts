import cluster, { type Worker } from 'node:cluster';
import type { Socket } from 'node:net';
import type { Attempt } from '../auth/attempts.ts';
import type { Clock } from '../base/clock.ts';
import type { BusItem } from '../bus/ipc/items.ts';
import type { WorkerRole } from '../config/worker.ts';
import type { Logger } from '../ops/logger.ts';
import type { MetricsSnapshot } from '../ops/metrics.ts';
import type { WorkerSummary } from '../ops/node-summary.ts';
import type { ListenAddress } from './listen-address.ts';
import type { BackupResult, ToPrimary, ToWorker, WorkerState, WriterStatus } from './messages.ts';
import { RestartPolicy } from './restart-policy.ts';

/** A ready worker that does not answer for this long is stuck or stopped, and is replaced. In milliseconds. */
const SILENCE_MS = 5_000;
/**
 * A starting worker has longer, since it loads. So has a writer that stands by. One that does not lead yet otherwise is not timed:
 * it may be migrating.
 */
const STARTING_SILENCE_MS = 30_000;
/** A worker that has not begun its work after this time is reported, in milliseconds. */
const START_MS = 20_000;
const PING_EVERY_MS = 1_000;

/** Signals that ask a process to finish. They may reach all of a node's processes at once. */
const ASKS = new Set(['SIGTERM', 'SIGINT', 'SIGHUP']);

type Life = {
  readonly worker: Worker;
  readonly startedAt: number;
  readyAt: number | undefined;
  /** When it began its work, or, for a writer, said why it has none. */
  begunAt: number | undefined;
  heardAt: number;
  /** It is a writer that waits for its turn. */
  standsBy: boolean;
  /** Set if the worker said why it can't work. */
  failure: string | undefined;
};

/** A place in the node, filled by one worker after another. */
type Slot = {
  readonly role: WorkerRole;
  readonly name: string;
  readonly policy: RestartPolicy;
  life: Life | undefined;
  /** How many workers of this slot have ended. */
  ends: number;
  looping: boolean;
  /** Why the last worker that ended could not work. Kept until one does, since the next may take seconds to find the same. */
  failure: string | undefined;
  cancelRestart: () => void;
};

/** Takes one worker's messages. */
export interface WorkerSink {
  items(items: readonly BusItem[]): void;
  report(metrics: MetricsSnapshot, state: WorkerState): void;
  peerLost(): void;
  gone(): void;
}

/** Sends a message, with a socket if one is given, to a worker that may be gone. The socket is no longer the caller's. */
export type SendToWorker = (message: ToWorker, socket?: Socket) => void;

/** What a worker is started with: its environment, and Node's flags. */
export type Launch = {
  readonly env: Readonly<Record<string, string>>;
  readonly execArgv: readonly string[];
};

export interface SupervisorEvents {
  /** A worker has joined. Returns what takes its bus items, and is called when it is gone. */
  joined(name: string, role: WorkerRole, send: SendToWorker): WorkerSink;
  ready(name: string, address: ListenAddress | undefined): void;
  /** A worker said why it can't work. */
  failed(name: string, reason: string): void;
  writer(status: WriterStatus): void;
  ended(role: WorkerRole): void;
  backup(result: BackupResult): void;
  /** Counts an attempt for the node. Returns what AttemptCounter.count resolves with. */
  attempt(attempt: Attempt): number;
}

/** Forks a node's workers, replaces those that end or hang, and stops them in order. Holds no chat state. */
export class Supervisor {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #events: SupervisorEvents;
  readonly #launchOf: (role: WorkerRole, name: string) => Launch;
  readonly #slots = new Map<string, Slot>();
  #draining = false;
  #cancelPing: () => void = () => {};

  constructor(
    clock: Clock,
    log: Logger,
    launchOf: (role: WorkerRole, name: string) => Launch,
    events: SupervisorEvents,
  ) {
    this.#clock = clock;
    this.#log = log;
    this.#launchOf = launchOf;
    this.#events = events;
    this.#ping();
  }

  /** Fills a slot, and keeps it filled. Does nothing once the node drains. */
  run(role: WorkerRole, name: string): void {
    if (this.#draining || this.#slots.has(name)) return;
    const slot: Slot = {
      role,
      name,
      policy: new RestartPolicy(),
      life: undefined,
      ends: 0,
      looping: false,
      failure: undefined,
      cancelRestart: () => {},
    };
    this.#slots.set(name, slot);
    this.#fork(slot);
  }

  /** Kills the workers of a role, and replaces none. */
  dismiss(role: WorkerRole): void {
    for (const slot of this.#of(role)) {
      this.#slots.delete(slot.name);
      slot.cancelRestart();
      const { life } = slot;
      slot.life = undefined;
      life?.worker.process.kill('SIGKILL');
    }
  }

  /** What is wrong with the node's workers; undefined if nothing is. */
  get trouble(): string | undefined {
    const slots = [...this.#slots.values()];
    const unforked = slots.filter(({ life }) => life?.worker.process.pid === undefined);
    if (unforked.length > 0) return `no process for: ${unforked.map(({ name }) => name).join(', ')}`;
    const looping = slots
      .filter((slot) => slot.looping)
      .map(({ name, life, failure }) => {
        const why = life?.failure ?? failure;
        return why === undefined ? name : `${name} (${why.replace(/\.$/, '')})`;
      });
    if (looping.length > 0) return `crash loop: ${looping.join(', ')}`;
    const now = this.#clock.steady();
    const late = slots.filter(
      ({ life }) =>
        life !== undefined &&
        !life.worker.isDead() &&
        life.begunAt === undefined &&
        now - life.startedAt > START_MS,
    );
    return late.length === 0 ? undefined : `not started yet: ${late.map(({ name }) => name).join(', ')}`;
  }

  /** Names of the workers that have not begun their work, or have ended. A writer that stands by has begun. */
  get absent(): string[] {
    return [...this.#slots.values()]
      .filter(({ life }) => life?.begunAt === undefined || life.worker.isDead())
      .map(({ name }) => name);
  }

  /** Number of workers of a role that do their work. */
  ready(role: WorkerRole): number {
    return this.#of(role).filter(({ life }) => life?.readyAt !== undefined).length;
  }

  /** Every slot of the node, and the state of its worker. */
  get workers(): Omit<WorkerSummary, 'sockets'>[] {
    return [...this.#slots.values()].map(({ name, life, ends }) => ({
      name,
      pid: life?.worker.process.pid ?? null,
      upMs: life?.readyAt === undefined ? null : this.#clock.steady() - life.readyAt,
      restarts: ends,
    }));
  }

  tell(role: WorkerRole, message: ToWorker): void {
    for (const { life } of this.#of(role)) send(life?.worker, message);
  }

  /** From now on, no worker is replaced. */
  beginDrain(): void {
    this.#draining = true;
    for (const slot of this.#slots.values()) {
      slot.cancelRestart();
      send(slot.life?.worker, { kind: 'draining' });
    }
  }

  /**
   * Has the workers of a role finish and exit. Kills those that have not by the deadline.
   * @returns how many were killed
   */
  async drain(role: WorkerRole, timeoutMs: number): Promise<number> {
    let killed = 0;
    const workers = this.#of(role).flatMap(({ life }) => life?.worker ?? []);
    const exits = workers.map((worker) => {
      if (worker.isDead()) return Promise.resolve();
      return new Promise<void>((resolve) => {
        const cancel = this.#clock.after(timeoutMs, () => {
          this.#log.warn(
            { event: 'worker_killed', role, pid: worker.process.pid },
            'worker did not finish in time: killed',
          );
          worker.process.kill('SIGKILL');
        });
        worker.once('exit', (_code, signal) => {
          cancel();
          // Killed at the deadline, or earlier as stuck. A worker that was just forked may end by a signal that only asks it to finish.
          if (signal !== null && !ASKS.has(signal)) killed++;
          resolve();
        });
        send(worker, { kind: 'drain' });
      });
    });
    await Promise.all(exits);
    return killed;
  }

  killAll(): void {
    this.#draining = true;
    this.#cancelPing();
    for (const slot of this.#slots.values()) {
      slot.cancelRestart();
      slot.life?.worker.process.kill('SIGKILL');
    }
  }

  #of(role: WorkerRole): Slot[] {
    return [...this.#slots.values()].filter((slot) => slot.role === role);
  }

  #fork(slot: Slot): void {
    const { env, execArgv } = this.#launchOf(slot.role, slot.name);
    cluster.setupPrimary({ execArgv: [...execArgv] });
    let worker: Worker;
    try {
      worker = cluster.fork(env);
    } catch (err) {
      // Some failures to create a process are thrown (no memory). Others come as an event below.
      this.#log.warn(
        { event: 'worker_not_started', err, name: slot.name },
        'worker cannot be started: tried again',
      );
      slot.life = undefined;
      this.#ended(slot, 0, null, null);
      return;
    }
    const startedAt = this.#clock.steady();
    const life: Life = {
      worker,
      startedAt,
      readyAt: undefined,
      begunAt: undefined,
      heardAt: startedAt,
      standsBy: false,
      failure: undefined,
    };
    slot.life = life;
    const sink = this.#events.joined(slot.name, slot.role, (message, socket) =>
      send(worker, message, socket),
    );
    worker.on('message', (message: ToPrimary) => {
      life.heardAt = this.#clock.steady();
      switch (message.kind) {
        case 'bus':
          return sink.items(message.items);
        case 'report':
          return sink.report(message.metrics, message.state);
        case 'backup':
          return this.#events.backup(message);
        case 'attempt':
          return send(worker, {
            kind: 'attempt',
            ref: message.ref,
            waitMs: this.#events.attempt(message.attempt),
          });
        case 'ready':
          life.readyAt = this.#clock.steady();
          life.begunAt ??= life.readyAt;
          slot.failure = undefined;
          return this.#events.ready(slot.name, message.address);
        case 'failed':
          life.failure = message.reason;
          return this.#events.failed(slot.name, message.reason);
        case 'writer':
          life.begunAt ??= this.#clock.steady();
          life.standsBy = message.status.kind !== 'leader';
          slot.failure = undefined;
          return this.#events.writer(message.status);
        case 'taking-over':
          life.standsBy = false;
          return;
        case 'peer-lost':
          return sink.peerLost();
        case 'pong':
          return;
      }
    });
    let over = false;
    const ended = (code: number | null, signal: string | null): void => {
      if (over) return;
      over = true;
      sink.gone();
      if (slot.life !== life) return;
      const upMs = life.begunAt === undefined ? 0 : this.#clock.steady() - life.begunAt;
      life.readyAt = undefined;
      slot.failure = life.failure;
      this.#ended(slot, upMs, code, signal);
    };
    worker.once('exit', ended);
    worker.on('error', (err) => {
      this.#log.warn({ event: 'worker_channel_error', err, name: slot.name }, 'worker channel error');
      // No process could be created (the limit on their number, for example): there will be no exit.
      if (worker.process.pid === undefined) ended(null, null);
    });
  }

  /** @param upMs how long the worker had been at its work, or had stood by; 0 if it never was */
  #ended(slot: Slot, upMs: number, code: number | null, signal: string | null): void {
    if (this.#draining) return;
    const { delayMs, looping } = slot.policy.ended(upMs);
    slot.ends++;
    slot.looping = looping;
    this.#events.ended(slot.role);
    this.#log.warn(
      { event: 'worker_ended', name: slot.name, code, signal, upMs, restartInMs: delayMs, looping },
      'worker ended',
    );
    slot.cancelRestart = this.#clock.after(delayMs, () => this.#fork(slot));
  }

  #ping(): void {
    const due = this.#clock.steady() + PING_EVERY_MS;
    this.#cancelPing = this.#clock.after(PING_EVERY_MS, () => {
      const now = this.#clock.steady();
      // This process itself stood still (a paused container, a laptop asleep), so what its workers sent meanwhile is still unread.
      const stoodStill = now - due > PING_EVERY_MS;
      this.#ping();
      for (const slot of this.#slots.values()) {
        const { life, name, role } = slot;
        if (life === undefined || life.worker.isDead()) continue;
        if (stoodStill) life.heardAt = now;
        const starting = life.readyAt === undefined;
        const mayMigrate = role === 'writer' && !life.standsBy;
        const patience = starting ? (mayMigrate ? Infinity : STARTING_SILENCE_MS) : SILENCE_MS;
        if (now - life.heardAt > patience) {
          this.#log.error(
            { event: 'worker_stuck', name, pid: life.worker.process.pid },
            'worker does not answer: killed',
          );
          life.worker.process.kill('SIGKILL');
        } else {
          send(life.worker, { kind: 'ping' });
        }
        // It stayed up: the crash loop is over.
        if (life.begunAt !== undefined && now - life.begunAt > SILENCE_MS) slot.looping = false;
      }
    });
  }
}

/** Sends to a worker that may be gone. Its exit is handled; a failed send need not be. */
function send(worker: Worker | undefined, message: ToWorker, socket?: Socket): void {
  if (worker?.isConnected()) worker.send(message, socket, (error) => error && socket?.destroy());
  else socket?.destroy();
}
