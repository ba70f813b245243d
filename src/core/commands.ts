import { type ErrorCode, isErrorCode } from '../contract/errors.ts';

/* What gateways ask of the writer. Every command is idempotent: a gateway sends it again when it does not know whether it arrived. */

export type SendCommand = {
  readonly kind: 'send';
  readonly from: string;
  readonly to: string;
  readonly text: string;
  readonly clientId: string;
};

export type ChangePasswordCommand = {
  readonly kind: 'change-password';
  readonly user: string;
  readonly passwordHash: string;
  /** The token version at which the current password was checked. A later change makes this one void. */
  readonly version: number;
};

export type Command =
  | SendCommand
  | { readonly kind: 'register'; readonly user: string; readonly passwordHash: string }
  | ChangePasswordCommand
  | { readonly kind: 'logout'; readonly user: string; readonly tokenId: string; readonly expiresAt: number }
  | { readonly kind: 'logout-everywhere'; readonly user: string; readonly version: number }
  | { readonly kind: 'mark-read'; readonly user: string; readonly peer: string; readonly id: number };

/** A command's text in UTF-16 units, which is what memory bounds count. */
export const unitsOf = (command: Command): number => (command.kind === 'send' ? command.text.length : 0);

/** One entry of the command log: the commands that one gateway collected during its previous append. */
export type CommandBatch = {
  /** The gateway's instance id. Results go to its channel. */
  readonly gateway: string;
  /** Ascends per gateway instance. A batch that is sent again keeps its number. */
  readonly seq: number;
  /** When the oldest command was accepted, Unix ms. */
  readonly at: number;
  readonly commands: readonly Command[];
};

export type Outcome =
  | { readonly kind: 'done' }
  /** The message was already stored; `frame` is the original with `repeat` set. */
  | { readonly kind: 'repeat'; readonly frame: string }
  /** The user's token version after the command. */
  | { readonly kind: 'version'; readonly version: number }
  | { readonly kind: 'refused'; readonly code: ErrorCode };

/** The result of a batch. Every command that is not listed is done. */
export type BatchResult = {
  readonly seq: number;
  readonly outcomes: readonly (readonly [index: number, outcome: Outcome])[];
};

/**
 * Decodes a result. What this version does not know of an outcome, as of a newer store's, is `internal`.
 * @throws SyntaxError, or TypeError if it is no result: to this version, it would say that everything is done
 */
export function decodeResult(payload: string): BatchResult {
  const { seq, outcomes } = (JSON.parse(payload) ?? {}) as Partial<BatchResult>;
  if (typeof seq !== 'number' || !Array.isArray(outcomes)) throw new TypeError('not the result of a batch');
  return { seq, outcomes: outcomes.map(([i, outcome]) => [i, isKnown(outcome) ? outcome : UNKNOWN]) };
}

const UNKNOWN: Outcome = { kind: 'refused', code: 'internal' };
const KINDS: Readonly<Record<Outcome['kind'], true>> = {
  done: true,
  repeat: true,
  version: true,
  refused: true,
};

const isKnown = (outcome: Outcome): boolean =>
  Object.hasOwn(KINDS, outcome.kind) && (outcome.kind !== 'refused' || isErrorCode(outcome.code));

export interface CommandSink {
  /**
   * Hands a command to the writer. `settle` is called once, with the outcome. `refused: unavailable` means unknown: the command
   * may have been done, or may still be.
   */
  submit(command: Command, settle: (outcome: Outcome) => void): void;
}
