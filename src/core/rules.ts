import type { ErrorCode } from '../contract/errors.ts';

/**
 * Who may post where. Today any user may post to any user, including themselves. Groups come here.
 * @returns the reason why not, or undefined if they may
 */
export function mayPost(known: { sender: boolean; receiver: boolean }): ErrorCode | undefined {
  return known.sender && known.receiver ? undefined : 'unknown_user';
}
