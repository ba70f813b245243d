import type { Duplex } from 'node:stream';

/**
 * Sends what is written to a socket in one turn of the event loop with one system call. A write is nearly half of a gateway's
 * cost, and a user's events come several at a time.
 */
export class WriteBatcher {
  #corked: Duplex[] = [];

  /** Call it before writing. The frames leave at the end of the turn. */
  hold(socket: Duplex): void {
    if (socket.writableCorked > 0) return;
    if (this.#corked.length === 0) process.nextTick(() => this.#release());
    socket.cork();
    this.#corked.push(socket);
  }

  #release(): void {
    const corked = this.#corked;
    this.#corked = [];
    for (const socket of corked) socket.uncork();
  }
}
