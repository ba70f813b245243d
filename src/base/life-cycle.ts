/** Something that runs until it is stopped. */
export interface Service {
  /** Resolves when the service is working. Rejects when it can't start. */
  start(): Promise<void>;
  /** Finishes what it has begun, and releases what it holds. Called once. */
  stop(): Promise<void>;
}
