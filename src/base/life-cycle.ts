/** Something that runs until it is stopped. */
export interface Service {
  /** Resolves when the service works. Rejects when it cannot start. */
  start(): Promise<void>;
  /** Finishes what it has begun and lets go of what it holds. Called once. */
  stop(): Promise<void>;
}
