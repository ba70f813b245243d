import type { BrokerItem, BusItem } from '../bus/ipc-items.ts';
import type { MetricsSnapshot } from '../ops/metrics.ts';

/*
 * Everything a primary and its workers say to each other.
 */

/** What a store's writer worker is: only a leader writes. */
export type WriterStatus =
  | { readonly kind: 'leader'; readonly generation: number }
  | { readonly kind: 'standby'; readonly holder: string }
  | { readonly kind: 'refused'; readonly reason: string };

export type ToPrimary =
  | { readonly kind: 'bus'; readonly items: readonly BusItem[] }
  /** The worker does its work now. `address`: where a gateway listens. */
  | { readonly kind: 'ready'; readonly address?: { readonly host: string; readonly port: number } }
  /** The worker can't start, for a reason that a person has to mend; it exits next. */
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'writer'; readonly status: WriterStatus }
  | { readonly kind: 'metrics'; readonly metrics: MetricsSnapshot }
  | { readonly kind: 'backup'; readonly file: string; readonly pages?: number; readonly error?: string }
  | { readonly kind: 'pong' };

export type ToWorker =
  | { readonly kind: 'bus'; readonly items: readonly BrokerItem[] }
  /** Finish and exit. */
  | { readonly kind: 'drain' }
  /** The node shuts down; a drain comes when it is this worker's turn. */
  | { readonly kind: 'draining' }
  | { readonly kind: 'trouble'; readonly trouble?: string }
  /** Back the database up to a file (writer only). */
  | { readonly kind: 'backup'; readonly file: string }
  | { readonly kind: 'ping' };
