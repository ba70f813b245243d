/** Something that runs until it is stopped. */
export interface Service {
  readonly name: string;
  /** Resolves when the service works. Rejects when it cannot start. */
  start(): Promise<void>;
  /** Finishes what it has begun and lets go of what it holds. Called once. */
  stop(): Promise<void>;
}

/** Starts services in order; stops them in the opposite order, so that what others stand on goes last. */
export class LifeCycle {
  readonly #started: Service[] = [];
  #stopping: Promise<void> | undefined;

  async start(service: Service): Promise<void> {
    await service.start();
    this.#started.push(service);
  }

  /** Stops everything that was started. A service that fails to stop does not keep the others from it. */
  stop(onError: (service: Service, error: unknown) => void): Promise<void> {
    this.#stopping ??= (async () => {
      for (const service of this.#started.toReversed()) {
        await service.stop().catch((error: unknown) => onError(service, error));
      }
    })();
    return this.#stopping;
  }
}
