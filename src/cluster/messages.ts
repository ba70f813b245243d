import type { Attempt } from '../auth/attempts.ts';
import type { BrokerItem, BusItem } from '../bus/ipc/items.ts';
import type { MetricsSnapshot } from '../ops/metrics.ts';
import type { ListenAddress } from './listen-address.ts';

/* All messages between a primary and its workers. */

/** The state of a store's writer worker. Only a leader writes. */
export type WriterStatus =
  /** `lapsed`: it has not been able to renew its lease for a while. */
  | { readonly kind: 'leader'; readonly generation: number; readonly lapsed: boolean }
  /** `readable`: the file has this version's schema. One that an older version still writes lacks it. */
  | { readonly kind: 'standby'; readonly holder: string; readonly readable: boolean }
  | { readonly kind: 'refused'; readonly reason: string };

/** The state of a worker. */
export type WorkerState = {
  /** Why Redis does not do what the worker asks. */
  readonly redis: string | undefined;
  /** A gateway's failing checks, in words; undefined for other workers. */
  readonly failing?: readonly string[];
  /** Why the writer can't commit, in words; undefined if it can, and for other workers. */
  readonly commitTrouble?: string | undefined;
};

/** The writer's answer about a back-up: its number of pages, or why there is none. */
export type BackupResult = { readonly file: string; readonly pages?: number; readonly error?: string };

export type ToPrimary =
  | { readonly kind: 'bus'; readonly items: readonly BusItem[] }
  /** The worker is doing its work. `address`: where a gateway listens. */
  | { readonly kind: 'ready'; readonly address?: ListenAddress }
  /** The worker can't start, for a reason that a person has to fix. It exits next. */
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'writer'; readonly status: WriterStatus }
  /** A writer takes the database over. It may be silent for long, if it has to migrate it. */
  | { readonly kind: 'taking-over' }
  /** Once a second. */
  | { readonly kind: 'report'; readonly metrics: MetricsSnapshot; readonly state: WorkerState }
  | ({ readonly kind: 'backup' } & BackupResult)
  /** Asks to count an attempt at a login or a registration. */
  | { readonly kind: 'attempt'; readonly ref: number; readonly attempt: Attempt }
  | { readonly kind: 'pong' }
  /** A gateway's socket to the writer has ended, or has not come. */
  | { readonly kind: 'peer-lost' };

export type ToWorker =
  | { readonly kind: 'bus'; readonly items: readonly BrokerItem[] }
  /** Finish and exit. */
  | { readonly kind: 'drain' }
  /** The node shuts down. A `drain` follows when it is this worker's turn. */
  | { readonly kind: 'draining' }
  /** What is wrong with the node's workers; undefined if nothing is. */
  | { readonly kind: 'trouble'; readonly trouble: string | undefined }
  /** Back the database up to a file (writer only). */
  | { readonly kind: 'backup'; readonly file: string }
  /** An attempt was counted. `waitMs`: the result of AttemptCounter.count. */
  | { readonly kind: 'attempt'; readonly ref: number; readonly waitMs: number }
  /** The database may be read from now on. Only readers use it. */
  | { readonly kind: 'serve' }
  | { readonly kind: 'ping' }
  /** Comes with a socket: a gateway's to the writer, or the writer's to a gateway. */
  | { readonly kind: 'peer' };
