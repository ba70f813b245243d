import { LIMITS } from '../contract/limits.ts';
import type { Command } from '../core/commands.ts';

type Share = { commands: number; units: number };

/**
 * What each user has unanswered over all sockets of a gateway (rule L5). A gateway takes in only so much before it refuses
 * everybody's: one user with many sockets has a part of that at most.
 */
export class PendingShares {
  readonly #byUser = new Map<string, Share>();

  /** Counts a command of the user's, until `settled`. @returns false, and counts nothing, if the user has too much already */
  take(user: string, command: Command): boolean {
    const share = this.#byUser.get(user) ?? { commands: 0, units: 0 };
    const units = share.units + unitsOf(command);
    if (share.commands >= LIMITS.unansweredPerUser || units > LIMITS.unansweredUnitsPerUser) return false;
    share.commands++;
    share.units = units;
    this.#byUser.set(user, share);
    return true;
  }

  settled(user: string, command: Command): void {
    const share = this.#byUser.get(user) as Share;
    share.units -= unitsOf(command);
    if (--share.commands === 0) this.#byUser.delete(user);
  }
}

const unitsOf = (command: Command): number => (command.kind === 'send' ? command.text.length : 0);
