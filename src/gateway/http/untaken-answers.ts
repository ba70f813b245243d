import type { ServerResponse } from 'node:http';

/**
 * Answers that have not left yet, over all connections (rule L10). One user has few at once, but many users may take theirs byte
 * by byte: where they have too much together, whoever has been at it the longest is cut off.
 */
export class UntakenAnswers {
  readonly #bytesMax: number;
  readonly #cutOff: () => void;
  readonly #bytesOf = new Map<ServerResponse, number>();
  #bytes = 0;

  /** @param cutOff is told of each answer that was given up */
  constructor(bytesMax: number, cutOff: () => void) {
    this.#bytesMax = bytesMax;
    this.#cutOff = cutOff;
  }

  /** Counts an answer, once it is made, by what the system did not take of it at once. */
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
