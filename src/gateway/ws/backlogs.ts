/** A socket, as far as its backlog is concerned. */
export interface Backlogged {
  /** Bytes not sent yet. */
  readonly unsent: number;
  /** Closes it. */
  tooSlow(): void;
}

/**
 * Unsent bytes over all sockets of a gateway (rule L6). A socket may have little, but many users may each keep theirs, taking it
 * byte by byte. If they exceed the bound together, the socket that has been behind the longest is closed.
 */
export class Backlogs {
  readonly #bytesMax: number;
  /** Longest behind first. Bytes sent since they were noted are still counted, until the sum exceeds the bound. */
  readonly #bytesOf = new Map<Backlogged, number>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** @param bytes that the socket has not sent yet */
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
