/** Users whose newest id is remembered. When the limit is reached, almost all are forgotten at once. */
const REMEMBERED_MAX = 200_000;

/**
 * Each user's newest message id, which gives gateways the id before each event (G5). For a user who is not remembered, it returns
 * `base`, which is not below any forgotten message of theirs. A gateway that is further behind asks the store once, and finds
 * what there is.
 */
export class UserHeads {
  readonly #newest = new Map<string, number>();
  readonly #max: number;
  #base: number;
  #changed = new Map<string, number>();

  /** @param base newest message id of the database */
  constructor(base: number, rememberedMax = REMEMBERED_MAX) {
    this.#base = base;
    this.#max = rememberedMax;
  }

  /** Records that the user got a message, and returns the id before it. Ids ascend. */
  advance(user: string, id: number): number {
    const prev = this.#newest.get(user) ?? this.#base;
    if (this.#newest.size >= this.#max && !this.#newest.has(user)) this.#forgetBefore(id);
    this.#newest.set(user, id);
    this.#changed.set(user, id);
    return prev;
  }

  /** The other user of the message with this id is kept, since their newest id is above the base. */
  #forgetBefore(id: number): void {
    for (const [user, newest] of this.#newest) if (newest < id) this.#newest.delete(user);
    this.#base = id - 1;
  }

  /** Users whose newest id changed since the last call. */
  get changedCount(): number {
    return this.#changed.size;
  }

  takeChanged(): [user: string, newestId: number][] {
    const changed = [...this.#changed];
    this.#changed = new Map();
    return changed;
  }
}
