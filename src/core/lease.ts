/** What a store must have to become its cluster's writer. */
export type DatabaseIdentity = {
  /** Random id given at creation; the same in every copy and backup. */
  readonly databaseId: string;
  /** Names one history: a restored backup gets a new one. */
  readonly epoch: string;
  /** Grows by one with every writer. */
  readonly generation: number;
  /** Grows with every transaction. It tells a copy from the file itself, which its writer goes on writing. */
  readonly transactions: number;
};

export type LeaseAnswer =
  | { readonly kind: 'held' }
  /** Somebody else writes: stand by. */
  | { readonly kind: 'taken'; readonly holder: string }
  /** It takes another look to tell: read the file again, and ask again. */
  | { readonly kind: 'undecided' }
  /** The cluster has another database, or a newer state of this one: never write. */
  | { readonly kind: 'refused'; readonly reason: string };

/**
 * Chooses the one writer of a cluster. It is a hint that keeps stores from fighting; what makes sure is the generation
 * row in the database (db/store-row.ts).
 */
export interface Leaser {
  /**
   * Takes the lease, or says who has it.
   * @param identity what the file says now: read it again each time; undefined while this node has none
   */
  acquire(identity: DatabaseIdentity | undefined): Promise<LeaseAnswer>;
  /** Keeps the lease. `taken` means that it was lost. */
  renew(identity: DatabaseIdentity): Promise<LeaseAnswer>;
  /** Gives it up early, so that a successor need not wait. */
  release(): Promise<void>;
}
