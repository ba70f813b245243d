import type { ErrorCode } from '../contract/errors.ts';

/**
 * Who may post where: today, any user to any user, themselves included. Groups come here.
 * @returns the reason why not, or undefined if they may
 */
export function mayPost(known: { sender: boolean; receiver: boolean }): ErrorCode | undefined {
  return known.sender && known.receiver ? undefined : 'unknown_user';
}
