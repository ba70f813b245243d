import type { Cluster } from './cluster.ts';
import type { Load } from './load.ts';
import type { Random } from './random.ts';

/*
 * What a fault is: what it does to which part, how it is taken back, and which deliveries show that the part works again.
 */

export type Arena = { cluster: Cluster; load: Load; random: Random };

/** Deliveries that come through the part that the fault hit. */
export type AffectedPath =
  /** Any live delivery of a message sent afterwards. */
  | { kind: 'all' }
  /** The same, on a socket of this node. */
  | { kind: 'node'; node: number }
  /** The next message for a device whose socket on this node was lost to the fault. */
  | { kind: 'dropped'; node: number }
  /** The next page of a socket opened afterwards. */
  | { kind: 'catch-up' };

/** A fault aimed at something: ready to be done once. */
export type Armed = {
  target: string;
  holdMs: number;
  /** What the recovery time is counted from. */
  measureFrom: 'inject' | 'heal';
  path: AffectedPath;
  /** Whether what died has been replaced. */
  returned?: () => boolean;
  inject(): Promise<void> | void;
  heal?(): Promise<void> | void;
};

export type Need = 'redis' | 'redis-replicas' | 'small-disk';

export type FaultKind = {
  name: string;
  needs: readonly Need[];
  /** Faults of one group are not done at the same time. */
  group: string;
  /** About how long it lasts, in milliseconds, recovery left out; for planning. */
  lastsMs: number;
  /** Undefined when there is nothing to hit at the moment. */
  arm(arena: Arena): Armed | undefined;
};
