import type { ServerResponse } from 'node:http';

/**
 * Answers that clients have not taken yet, over all connections (rule L10). One user has few at once, but many users may take
 * theirs byte by byte. If they exceed the bound together, the connection of the oldest answer is cut off.
 */
export class UntakenAnswers {
  readonly #bytesMax: number;
  readonly #cutOff: () => void;
  readonly #bytesOf = new Map<ServerResponse, number>();
  #bytes = 0;

  /** @param cutOff called for each answer that is given up */
  constructor(bytesMax: number, cutOff: () => void) {
    this.#bytesMax = bytesMax;
    this.#cutOff = cutOff;
  }

  /** Counts a finished answer, by the bytes that the system did not take at once. */
  watch(response: ServerResponse): void {
    response.once('prefinish', () => {
      const bytes = response.socket?.writableLength ?? 0;
      if (bytes === 0) return;
      this.#bytesOf.set(response, bytes);
      this.#bytes += bytes;
      response.once('close', () => this.#forget(response));
      for (const oldest of this.#bytesOf.keys()) {
        if (this.#bytes <= this.#bytesMax) break;
        this.#forget(oldest);
        this.#cutOff();
        oldest.socket?.destroy();
      }
    });
  }

  #forget(response: ServerResponse): void {
    this.#bytes -= this.#bytesOf.get(response) ?? 0;
    this.#bytesOf.delete(response);
  }
}
