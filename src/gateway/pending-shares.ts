import { LIMITS } from '../contract/limits.ts';

type Share = { commands: number; units: number };

/**
 * Each user's unanswered commands, over all sockets of a gateway (rule L5). A gateway accepts a limited number before it refuses
 * everybody's. This keeps one user with many sockets to a part of that.
 */
export class PendingShares {
  readonly #byUser = new Map<string, Share>();

  /** Number of users with unanswered commands. */
  get users(): number {
    return this.#byUser.size;
  }

  /**
   * Counts a command of the user, until `settled`.
   * @param units of text in it, UTF-16
   * @returns false, without counting, if the user has too much already
   */
  take(user: string, units: number): boolean {
    const share = this.#byUser.get(user) ?? { commands: 0, units: 0 };
    if (share.commands >= LIMITS.unansweredPerUser) return false;
    if (share.units + units > LIMITS.unansweredUnitsPerUser) return false;
    share.commands++;
    share.units += units;
    this.#byUser.set(user, share);
    return true;
  }

  settled(user: string, units: number): void {
    const share = this.#byUser.get(user) as Share;
    share.units -= units;
    if (--share.commands === 0) this.#byUser.delete(user);
  }
}
