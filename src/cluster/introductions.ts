import type { Clock } from '../base/clock.ts';
import type { WorkerRole } from '../config/worker.ts';
import type { Logger } from '../ops/logger.ts';
import { socketPair } from './socket-pair.ts';
import type { SendToWorker } from './supervisor.ts';

/** Pause before a pair of sockets that could not be made, or did not last, is tried again, in milliseconds. */
const AGAIN_MS = 500;

/** Connects a node's gateways, and its primary, with its writer: each is given one end of a pair of sockets. */
export class Introductions {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #peers = new Set<SendToWorker>();
  /** Which writer each of them was introduced to last. */
  readonly #introduced = new WeakMap<SendToWorker, SendToWorker>();
  /** For whom sockets are being made. */
  readonly #introducing = new Set<SendToWorker>();
  #writer: SendToWorker | undefined;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** A worker has joined. Call `gone` when it is gone, and `lost` when it has lost its peer, or has none. */
  joined(role: WorkerRole | 'primary', send: SendToWorker): { gone(): void; lost(): void } {
    if (role === 'writer') {
      this.#writer = send;
      for (const peer of this.#peers) void this.#introduce(peer);
    } else if (role !== 'reader') {
      this.#peers.add(send);
      void this.#introduce(send);
    }
    return {
      gone: () => {
        this.#peers.delete(send);
        if (this.#writer === send) this.#writer = undefined;
      },
      // If that is because the writer is gone, the next one is introduced as soon as it joins.
      lost: () => {
        this.#introduced.delete(send);
        this.#introduceSoon(send);
      },
    };
  }

  #introduceSoon(peer: SendToWorker): void {
    this.#clock.after(AGAIN_MS, () => void this.#introduce(peer));
  }

  async #introduce(peer: SendToWorker): Promise<void> {
    const writer = this.#writer;
    if (writer === undefined || !this.#peers.has(peer) || this.#introduced.get(peer) === writer) return;
    if (this.#introducing.has(peer)) return;
    this.#introducing.add(peer);
    try {
      const [peers, writers] = await socketPair();
      if (this.#writer === writer && this.#peers.has(peer)) {
        this.#introduced.set(peer, writer);
        writer({ kind: 'peer' }, writers);
        peer({ kind: 'peer' }, peers);
      } else for (const socket of [peers, writers]) socket.destroy();
    } catch (err) {
      this.#log.warn(
        { event: 'not_introduced', err },
        'a gateway, or the primary, cannot be connected with the writer: tried again',
      );
      return this.#introduceSoon(peer);
    } finally {
      this.#introducing.delete(peer);
    }
    // Another writer may have come meanwhile.
    await this.#introduce(peer);
  }
}
