/** A socket, as far as its backlog goes. */
export interface Backlogged {
  /** Bytes that have not left yet. */
  readonly unsent: number;
  /** Closes it. */
  tooSlow(): void;
}

/**
 * What has not left yet, over all sockets of a gateway (rule L6). A socket has little, but many users may each keep theirs, taking
 * it byte by byte: where they have too much together, whoever has been behind the longest is closed.
 */
export class Backlogs {
  readonly #bytesMax: number;
  /** Longest behind first. What has left since it was noted is still counted, until too much seems to be there. */
  readonly #bytesOf = new Map<Backlogged, number>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** @param bytes that the socket has unsent now */
  note(socket: Backlogged, bytes: number): void {
    this.#count(socket, bytes);
    for (const oldest of this.#bytesOf.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#count(oldest, oldest.unsent);
      if (this.#bytes > this.#bytesMax) oldest.tooSlow();
    }
  }

  #count(socket: Backlogged, bytes: number): void {
    if (bytes === 0) return this.forget(socket);
    this.#bytes += bytes - (this.#bytesOf.get(socket) ?? 0);
    this.#bytesOf.set(socket, bytes);
  }

  forget(socket: Backlogged): void {
    this.#bytes -= this.#bytesOf.get(socket) ?? 0;
    this.#bytesOf.delete(socket);
  }
}
