import { z } from 'zod';
import { CLIENT_ID, LIMITS } from './limits.ts';

/** Control, format (bidi, zero-width), surrogate, private and unassigned characters, line ends, and all that shows as nothing. */
const FORBIDDEN_IN_ID = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{DI}\u2800]/u;
const SPACE_AT_END = /^\s|\s$/u;

/** Whether a new user may take this id (rule L3). Ids already in a database are not held to it. */
export function isValidNewUserId(id: string): boolean {
  const chars = [...id].length;
  return (
    chars >= 1 &&
    chars <= LIMITS.userIdChars &&
    !FORBIDDEN_IN_ID.test(id) &&
    !SPACE_AT_END.test(id) &&
    id.normalize('NFC') === id &&
    id !== '__proto__'
  );
}

/** A text of 1 to `max` UTF-16 units. zod's own bound counts code points, as JSON Schema does: it is there for the documents. */
const unitsUpTo = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .refine((text) => text.length <= max, `must have at most ${max} UTF-16 units`);

/** An id by which a user is looked up. */
export const userId = unitsUpTo(LIMITS.userIdLookupUnits)
  .refine((id) => id.isWellFormed(), 'must be well-formed Unicode')
  .meta({ description: 'User id', examples: ['alice'] });

export const password = unitsUpTo(LIMITS.passwordUnits).meta({ format: 'password' });

/** Message ids ascend in commit order; they are positive integers below 2^53. */
export const messageId = z.int().nonnegative().meta({ description: 'Message id; ascends in commit order' });

export const messageText = unitsUpTo(LIMITS.messageUnits)
  .refine((text) => text.isWellFormed(), 'must be well-formed Unicode')
  .meta({ description: 'Message text' });

/** Visible ASCII. A UUIDv7 is best: ids that ascend in time keep the server's index cheap. */
export const clientId = z.string().regex(CLIENT_ID).meta({
  description: 'Chosen by the client, unique per sender; makes sending idempotent (UUIDv7 recommended)',
});

export const token = z.string().min(1).max(4096).meta({ description: 'Token from /login' });

export const epoch = z
  .string()
  .min(1)
  .max(64)
  .meta({ description: 'Names one history of the database; changes when a backup is restored' });

export const timestamp = z
  .string()
  .meta({ description: 'UTC, YYYY-MM-DD HH:MM:SS', examples: ['2026-01-31 12:00:00'] });
