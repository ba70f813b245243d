/** A store's identity, which decides whether it may become its cluster's writer. */
export type DatabaseIdentity = {
  /** Random id given at creation. The same in every copy and backup. */
  readonly databaseId: string;
  /** Identifies one history. A restored backup gets a new one. */
  readonly epoch: string;
  /** Grows by one with every writer. */
  readonly generation: number;
  /** Grows with every transaction. It distinguishes a copy from the original, which its writer continues to change. */
  readonly transactions: number;
};

export type LeaseAnswer =
  | { readonly kind: 'held' }
  /** Another store is the writer: stand by. */
  | { readonly kind: 'taken'; readonly holder: string }
  /** Can't be decided yet: read the file again, and ask again. */
  | { readonly kind: 'undecided' }
  /** The cluster has another database, or a newer state of this one: never write. */
  | { readonly kind: 'refused'; readonly reason: string };

/**
 * Chooses the one writer of a cluster. It is a hint that keeps stores from competing. The guarantee is the generation row in the
 * database (db/store-row.ts).
 */
export interface Leaser {
  /**
   * Takes the lease, or says who has it.
   * @param identity what the file says now, read anew for each call; undefined while this node has no database
   */
  acquire(identity: DatabaseIdentity | undefined): Promise<LeaseAnswer>;
  /** Extends the lease. `taken` means that it was lost. */
  renew(identity: DatabaseIdentity): Promise<LeaseAnswer>;
  /** Releases the lease early, so that a successor need not wait. */
  release(): Promise<void>;
}
