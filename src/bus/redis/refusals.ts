import { ReplyError } from 'ioredis';
import { type Clock, systemClock } from '../../base/clock.ts';

/** A refusal counts for this long, unless the command succeeds sooner: gateways retry within 12 s. In milliseconds. */
const COUNTS_MS = 15_000;
/** The client itself sends these on a new connection. An older Redis does not know all of them. */
export const GREETINGS: ReadonlySet<string> = new Set(['hello', 'client', 'info']);
/** Not refusals: a script or a stream that Redis does not have yet, a slot that has moved. */
const ORDINARY = /^(NOSCRIPT|MOVED|ASK|TRYAGAIN)\b|no such key/i;

/** Commands that Redis refuses (no memory, no permission, read-only). The connection stays intact. */
export class RedisRefusals {
  readonly #clock: Clock;
  readonly #byCommand = new Map<string, { readonly message: string; readonly at: number }>();

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  refused(command: string, error: Error): void {
    // Other errors concern the connection.
    if (!(error instanceof ReplyError) || GREETINGS.has(command) || ORDINARY.test(error.message)) return;
    this.#byCommand.set(command, { message: error.message, at: this.#clock.steady() });
  }

  taken(command: string): void {
    if (this.#byCommand.size > 0) this.#byCommand.delete(command);
  }

  /** What Redis said; undefined if it accepts what it is asked. */
  get trouble(): string | undefined {
    for (const [command, { message, at }] of this.#byCommand) {
      if (this.#clock.steady() - at <= COUNTS_MS) return message;
      this.#byCommand.delete(command);
    }
    return undefined;
  }
}
