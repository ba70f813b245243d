import type { Attempt } from '../auth/attempts.ts';
import type { BrokerItem, BusItem } from '../bus/ipc/items.ts';
import type { MetricsSnapshot } from '../ops/metrics.ts';
import type { ListenAddress } from './listen-address.ts';

/*
 * Everything a primary and its workers say to each other.
 */

/** What a store's writer worker is: only a leader writes. */
export type WriterStatus =
  /** `lapsed`: it has not been able to renew its lease for a while. */
  | { readonly kind: 'leader'; readonly generation: number; readonly lapsed: boolean }
  /** `readable`: the file has this version's schema, which one that is written by an older version lacks. */
  | { readonly kind: 'standby'; readonly holder: string; readonly readable: boolean }
  | { readonly kind: 'refused'; readonly reason: string };

/** How a worker is. */
export type WorkerState = {
  /** Why Redis does not do what the worker asks of it. */
  readonly redis: string | undefined;
  /** Checks of a gateway that fail, in words; undefined for a worker of another kind. */
  readonly failing?: readonly string[];
  /** Why the writer can't commit, in words; undefined if it can, and for a worker of another kind. */
  readonly commitTrouble?: string | undefined;
};

/** What the writer says of a back-up: how many pages it has, or why there is none. */
export type BackupResult = { readonly file: string; readonly pages?: number; readonly error?: string };

export type ToPrimary =
  | { readonly kind: 'bus'; readonly items: readonly BusItem[] }
  /** The worker does its work now. `address`: where a gateway listens. */
  | { readonly kind: 'ready'; readonly address?: ListenAddress }
  /** The worker can't start, for a reason that a person has to mend; it exits next. */
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'writer'; readonly status: WriterStatus }
  /** Once a second. */
  | { readonly kind: 'report'; readonly metrics: MetricsSnapshot; readonly state: WorkerState }
  | ({ readonly kind: 'backup' } & BackupResult)
  /** Count an attempt at a login or a registration. */
  | { readonly kind: 'attempt'; readonly ref: number; readonly attempt: Attempt }
  | { readonly kind: 'pong' };

export type ToWorker =
  | { readonly kind: 'bus'; readonly items: readonly BrokerItem[] }
  /** Finish and exit. */
  | { readonly kind: 'drain' }
  /** The node shuts down; a drain comes when it is this worker's turn. */
  | { readonly kind: 'draining' }
  /** What is wrong with the node's workers; undefined if nothing is. */
  | { readonly kind: 'trouble'; readonly trouble: string | undefined }
  /** Back the database up to a file (writer only). */
  | { readonly kind: 'backup'; readonly file: string }
  /** An attempt was counted. `waitMs`: as an AttemptCounter answers. */
  | { readonly kind: 'attempt'; readonly ref: number; readonly waitMs: number }
  /** The database may be read from now on (nobody but a reader minds). */
  | { readonly kind: 'serve' }
  | { readonly kind: 'ping' };
