import type { Cursor } from './types.ts';
import type { Connected, Message } from './wire.ts';

/**
 * The place in the user's stream of messages, and the rule that no message passes twice: ids ascend (M4), so one that is
 * not above the last is a repetition.
 */
export class Stream {
  #cursor: Cursor | null;
  readonly #lost: boolean;

  /** @param cursor is `lost` when there was one that can't be had: messages after it will be missed, and that is told */
  constructor(cursor: Cursor | null | 'lost') {
    this.#lost = cursor === 'lost';
    this.#cursor = cursor === 'lost' ? null : cursor;
  }

  get cursor(): Cursor | null {
    return this.#cursor;
  }

  /** @returns `behind` when pages follow, `level` when live messages do, `resync` when the past is another one, or lost. */
  connected({ epoch, head, resync }: Connected): 'behind' | 'level' | 'resync' {
    const before = this.#cursor;
    if (before !== null && !resync && before.epoch === epoch) return 'behind';
    this.#cursor = { epoch, since: head };
    return before === null && !this.#lost ? 'level' : 'resync';
  }

  /** Whether to deliver it. */
  isNew(message: Message): boolean {
    // A repeat is an answer that stands outside the order (M3): its id says nothing about what came before it.
    return !message.repeat && this.#cursor !== null && message.id > this.#cursor.since;
  }

  /** All messages up to `upto` have been delivered, or are not this user's. */
  reached(upto: number): void {
    if (this.#cursor !== null && upto > this.#cursor.since) {
      this.#cursor = { epoch: this.#cursor.epoch, since: upto };
    }
  }
}
