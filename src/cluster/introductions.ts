import type { Clock } from '../base/clock.ts';
import type { WorkerRole } from '../config/worker.ts';
import type { Logger } from '../ops/logger.ts';
import { socketPair } from './socket-pair.ts';
import type { SendToWorker } from './supervisor.ts';

/** Pause before a pair of sockets that could not be made, or did not last, is tried again, in milliseconds. */
const AGAIN_MS = 200;

/** Connects each of a node's gateways with its writer: each is given one end of a pair of sockets. */
export class Introductions {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #gateways = new Set<SendToWorker>();
  /** Which writer each gateway was introduced to last. */
  readonly #introduced = new Map<SendToWorker, SendToWorker>();
  #writer: SendToWorker | undefined;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** A worker has joined. Call `gone` when it is gone, and `lost` when it has lost its peer. */
  joined(role: WorkerRole, send: SendToWorker): { gone(): void; lost(): void } {
    if (role === 'writer') {
      this.#writer = send;
      for (const gateway of this.#gateways) void this.#introduce(gateway);
    } else if (role === 'gateway') {
      this.#gateways.add(send);
      void this.#introduce(send);
    }
    return {
      gone: () => {
        this.#gateways.delete(send);
        this.#introduced.delete(send);
        if (this.#writer === send) this.#writer = undefined;
      },
      // If that is because the writer is gone, the next one is introduced as soon as it joins.
      lost: () => {
        this.#introduced.delete(send);
        this.#introduceSoon(send);
      },
    };
  }

  #introduceSoon(gateway: SendToWorker): void {
    this.#clock.after(AGAIN_MS, () => void this.#introduce(gateway));
  }

  async #introduce(gateway: SendToWorker): Promise<void> {
    const writer = this.#writer;
    if (writer === undefined || !this.#gateways.has(gateway) || this.#introduced.get(gateway) === writer)
      return;
    this.#introduced.set(gateway, writer);
    try {
      const [gateways, writers] = await socketPair();
      if (this.#writer === writer && this.#gateways.has(gateway)) {
        writer({ kind: 'peer' }, writers);
        gateway({ kind: 'peer' }, gateways);
      } else for (const socket of [gateways, writers]) socket.destroy();
    } catch (err) {
      this.#log.warn(
        { event: 'not_introduced', err },
        'a gateway cannot be connected with the writer: tried again',
      );
      this.#introduced.delete(gateway);
      this.#introduceSoon(gateway);
    }
  }
}
