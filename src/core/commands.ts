import type { ErrorCode } from '../contract/errors.ts';

/*
 * What gateways ask of the writer. Every command is idempotent: gateways send one again whenever they don't know
 * whether it arrived.
 */

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
  /** The token version at which the current password was checked: a later change makes this one void. */
  readonly version: number;
};

export type Command =
  | SendCommand
  | { readonly kind: 'register'; readonly user: string; readonly passwordHash: string }
  | ChangePasswordCommand
  | { readonly kind: 'logout'; readonly user: string; readonly tokenId: string; readonly expiresAt: number }
  | { readonly kind: 'logout-everywhere'; readonly user: string; readonly version: number }
  | { readonly kind: 'mark-read'; readonly user: string; readonly peer: string; readonly id: number };

/** The text in a command, in UTF-16 units: what bounds of memory count. */
export const unitsOf = (command: Command): number => (command.kind === 'send' ? command.text.length : 0);

/** One entry of the command log: what one gateway collected while its previous append was under way. */
export type CommandBatch = {
  /** The gateway's instance id: results go to its channel. */
  readonly gateway: string;
  /** Ascends per gateway instance. A batch that is sent again keeps its number. */
  readonly seq: number;
  /** When the oldest of them was taken in, Unix ms. */
  readonly at: number;
  readonly commands: readonly Command[];
};

export type Outcome =
  | { readonly kind: 'done' }
  /** The send was stored before; `frame` is the original with `repeat` set. */
  | { readonly kind: 'repeat'; readonly frame: string }
  /** The user's token version after the command. */
  | { readonly kind: 'version'; readonly version: number }
  | { readonly kind: 'refused'; readonly code: ErrorCode };

/** What became of a batch: every command not listed is done. */
export type BatchResult = {
  readonly seq: number;
  readonly outcomes: readonly (readonly [index: number, outcome: Outcome])[];
};

export interface CommandSink {
  /**
   * Hands a command to the writer; `settle` is called once, with what became of it. `refused: unavailable` means
   * unknown: it may have been done, or be done yet.
   */
  submit(command: Command, settle: (outcome: Outcome) => void): void;
}
