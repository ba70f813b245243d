import { z } from 'zod';
import { CLIENT_ID, LIMITS } from './limits.ts';

/** Blanks that Unicode counts as letters or signs: of Braille, Khitan, Egyptian hieroglyphs and musical notation. */
const BLANKS = '\\u2800\\u{16FE4}\\u{13441}\\u{13442}\\u{1D159}';

/**
 * No control, format (bidi, zero-width), surrogate, private or unassigned characters, no line ends, nothing that shows as
 * nothing, no space at either end.
 */
const NEW_USER_ID = new RegExp(
  `^(?!__proto__$)(?!\\s)[^\\p{Cc}\\p{Cf}\\p{Cs}\\p{Co}\\p{Cn}\\p{Zl}\\p{Zp}\\p{DI}${BLANKS}]{1,${LIMITS.userIdChars}}(?<!\\s)$`,
  'u',
);

/** An id that a new user may take (rule L3). Ids already in a database are not held to it. */
export const newUserId = z
  .string()
  .regex(NEW_USER_ID)
  .refine((id) => id.normalize('NFC') === id, 'must be NFC-normalised')
  .meta({
    description: `User id: 1 to ${LIMITS.userIdChars} code points, NFC (rule L3)`,
    examples: ['alice'],
  });

/** A text of `min` to `max` UTF-16 units. zod's own bound counts code points, as JSON Schema does: it is there for the documents. */
const unitsUpTo = (max: number, min = 1) =>
  z
    .string()
    .min(min)
    .max(max)
    .refine((text) => text.length <= max, `must have at most ${max} UTF-16 units`);

/** An id by which a user is looked up. */
export const userId = unitsUpTo(LIMITS.userIdLookupUnits)
  .refine((id) => id.isWellFormed(), 'must be well-formed Unicode')
  .meta({
    description: `User id: at most ${LIMITS.userIdLookupUnits} UTF-16 units, well-formed`,
    examples: ['alice'],
  });

/** The other participant of a conversation, or a user named in a message. The old chat app kept messages to nobody. */
export const peerId = unitsUpTo(LIMITS.userIdLookupUnits, 0)
  .refine((id) => id.isWellFormed(), 'must be well-formed Unicode')
  .meta({
    description: 'User id. Empty for nobody, in messages of the old chat app',
    examples: ['alice'],
  });

export const password = unitsUpTo(LIMITS.passwordUnits)
  .refine((text) => text.isWellFormed(), 'must be well-formed Unicode')
  .meta({
    format: 'password',
    description: `PASSWORD_MIN_LENGTH to ${LIMITS.passwordUnits} UTF-16 units, well-formed`,
  });

/** Message ids ascend in commit order, from 1 to below 2^53. In a cursor, 0 stands before all of them. */
export const messageId = z.int().nonnegative().meta({ description: 'Message id; ascends in commit order' });

export const messageText = unitsUpTo(LIMITS.messageUnits)
  .refine((text) => text.isWellFormed(), 'must be well-formed Unicode')
  .meta({ description: `Message text: at most ${LIMITS.messageUnits} UTF-16 units, well-formed` });

/** Visible ASCII. A UUIDv7 is best: ids that ascend in time keep the server's index cheap. */
export const clientId = z.string().regex(CLIENT_ID).meta({
  description: 'Chosen by the client, unique per sender. Makes sending idempotent. UUIDv7 recommended',
});

/** Longest token that is looked at, in UTF-16 units. */
const TOKEN_UNITS = 4096;

/** What can't be a token becomes an empty one, which is refused as a token (rule A3), and ignored in AUTH=open. */
export const token = z
  .unknown()
  .transform((it) => (typeof it === 'string' && it.length <= TOKEN_UNITS ? it : ''))
  .meta({ type: 'string', maxLength: TOKEN_UNITS, description: 'Token from /login' });

export const epoch = z
  .string()
  .min(1)
  .max(64)
  .meta({ description: 'Names one history of the database. Changes when a backup is restored' });

export const timestamp = z
  .string()
  .meta({ description: 'UTC, YYYY-MM-DD HH:MM:SS', examples: ['2026-01-31 12:00:00'] });
