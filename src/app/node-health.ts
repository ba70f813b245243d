import type { WorkerState } from '../cluster/messages.ts';
import type { Logger } from '../ops/logger.ts';

/** Redis counts as lost after this many failed looks in a row. By then, the reason is known. */
const LOST_AFTER_LOOKS = 2;

/** Combines what a node's workers report about themselves. */
export class NodeHealth {
  readonly #log: Logger;
  readonly #states = new Map<string, WorkerState>();
  readonly #ownRedis: () => string | undefined;
  #failedLooks = 0;

  /** @param ownRedis why Redis does not do what the primary asks */
  constructor(log: Logger, ownRedis: () => string | undefined) {
    this.#log = log;
    this.#ownRedis = ownRedis;
  }

  hear(worker: string, state: WorkerState): void {
    this.#states.set(worker, state);
  }

  gone(worker: string): void {
    this.#states.delete(worker);
  }

  /** Why Redis does not do what this node asks, as the first process found; undefined if it does. */
  get redis(): string | undefined {
    for (const { redis } of this.#states.values()) if (redis !== undefined) return redis;
    return this.#ownRedis();
  }

  /** Number of gateways that would serve a client now, by their last reports. */
  get readyGateways(): number {
    return this.#gateways.filter((failing) => failing.length === 0).length;
  }

  /** What fails, in words; empty if nothing does. */
  get failing(): string[] {
    const { redis } = this;
    const [commitTrouble] = [...this.#states.values()].flatMap((state) => state.commitTrouble ?? []);
    const gateways = this.#gateways;
    const unready = gateways.filter((failing) => failing.length > 0);
    return [
      ...(redis === undefined ? [] : [`Redis fails: ${redis}`]),
      ...(commitTrouble === undefined ? [] : [`its writer can't commit: ${commitTrouble}`]),
      ...(unready.length === 0
        ? []
        : [`${unready.length} of ${gateways.length} gateways not ready: ${unready[0]?.join('; ')}`]),
    ];
  }

  get #gateways(): (readonly string[])[] {
    return [...this.#states.values()].flatMap(({ failing }) => (failing === undefined ? [] : [failing]));
  }

  /** Checks Redis. Logs once for all workers when it is lost, and when it is back. */
  look(): void {
    const { redis: reason } = this;
    if (reason === undefined) {
      if (this.#failedLooks >= LOST_AFTER_LOOKS)
        this.#log.info({ event: 'redis_back' }, 'Redis does what it is asked again');
      this.#failedLooks = 0;
    } else if (++this.#failedLooks === LOST_AFTER_LOOKS) {
      this.#log.warn(
        { event: 'redis_lost', reason },
        'Redis is away or refuses commands, so that nothing is sent or delivered: see that it runs, has memory left, and takes this user',
      );
    }
  }
}
