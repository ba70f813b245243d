import type { Client } from './client.ts';
import { Histogram, type Latency } from './histogram.ts';
import type { MessageTemplate } from './wire.ts';

/*
 * The messages under way. Each has a number, written into its text, by which its echo and its delivery are known again.
 * It is finished when the receiver has it and the sender has its echo.
 */

/** More messages than this under way at once would be taken for strays. */
const RING = 1 << 20;
const ECHOED = 1;
const DELIVERED = 2;
const BACKGROUND = 4;

export type Window = {
  /** Received by the other user. */
  readonly delivered: number;
  readonly sent: number;
  readonly duplicates: number;
  /** Refusals by code, and closes by `close <code>`. */
  readonly refused: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** From the intended time of sending to the receiver. Only messages that were to be sent within the window. */
  readonly delivery: Latency;
  /** From the intended time of sending to the sender's echo. */
  readonly echo: Latency;
  /** Messages that were to be sent within the window and did not finish, even after it. */
  readonly unfinished: number;
};

export class Traffic {
  readonly #intended = new Float64Array(RING);
  readonly #number = new Uint32Array(RING);
  readonly #sender = new Int32Array(RING);
  readonly #receiver = new Int32Array(RING);
  readonly #flags = new Uint8Array(RING);
  #next = 1;
  #underWay = 0;

  readonly #delivery = new Histogram();
  readonly #echo = new Histogram();
  #from = Number.POSITIVE_INFINITY;
  #to = Number.NEGATIVE_INFINITY;
  #began = 0;
  #delivered = 0;
  #sent = 0;
  #duplicates = 0;
  readonly #refused = new Map<string, number>();

  /** Called when a message is finished, with its sender. */
  onFinished: (sender: number) => void = () => undefined;

  get underWay(): number {
    return this.#underWay;
  }

  /** Sends one message; `intendedMs` is when it should have gone out, on performance.now()'s clock. */
  send(
    client: Client,
    receiver: number,
    template: MessageTemplate,
    intendedMs: number,
    background = false,
  ): number {
    const number = this.#next;
    this.#next += 1;
    const at = number % RING;
    this.#intended[at] = intendedMs;
    this.#number[at] = number;
    this.#sender[at] = client.user;
    this.#receiver[at] = receiver;
    this.#flags[at] = background ? BACKGROUND : 0;
    if (!background) this.#underWay += 1;
    this.#sent += 1;
    client.send(template.frame(number, epochMs(intendedMs)));
    return number;
  }

  /** Sends a message again, with the `client_id` it had. */
  sendAgain(client: Client, number: number, template: MessageTemplate): void {
    client.send(template.frame(number, epochMs(this.#intended[number % RING]!)));
  }

  received(user: number, number: number, nowMs: number): void {
    const at = number % RING;
    if (this.#number[at] !== number) return;
    const flag = user === this.#receiver[at] ? DELIVERED : user === this.#sender[at] ? ECHOED : undefined;
    if (flag === undefined) return;
    const flags = this.#flags[at]!;
    if ((flags & flag) !== 0) {
      if (flag === DELIVERED) this.#duplicates += 1;
      return;
    }
    this.#flags[at] = flags | flag;
    if ((flags & BACKGROUND) !== 0) return;
    if (flag === DELIVERED) this.#delivered += 1;
    const intended = this.#intended[at]!;
    if (intended >= this.#from && intended < this.#to) {
      (flag === DELIVERED ? this.#delivery : this.#echo).record((nowMs - intended) * 1000);
    }
    if ((flags | flag) === (ECHOED | DELIVERED)) {
      this.#underWay -= 1;
      this.onFinished(user === this.#sender[at] ? user : this.#sender[at]!);
    }
  }

  refused(code: string): void {
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
  }

  /** Gives up on a message: it was refused. Returns its sender, or undefined if it was not under way. */
  giveUp(number: number): number | undefined {
    const at = number % RING;
    if (this.#number[at] !== number || this.#flags[at] !== 0) return undefined;
    this.#number[at] = 0;
    this.#underWay -= 1;
    return this.#sender[at];
  }

  /** The receiver of a message that its sender has no answer to, or undefined if it has one. */
  unanswered(number: number): number | undefined {
    const at = number % RING;
    return this.#number[at] === number && (this.#flags[at]! & ECHOED) === 0 ? this.#receiver[at] : undefined;
  }

  forgetAll(): void {
    this.#number.fill(0);
    this.#underWay = 0;
  }

  beginWindow(): void {
    this.#began = performance.now();
    this.#from = this.#began;
    this.#to = Number.POSITIVE_INFINITY;
    this.#delivery.reset();
    this.#echo.reset();
    this.#delivered = 0;
    this.#sent = 0;
    this.#duplicates = 0;
    this.#refused.clear();
  }

  /** Ends the window. Latencies of what was sent within it are recorded until `finish` is called. */
  endWindow(): (unfinished: number) => Window {
    this.#to = performance.now();
    const seconds = (this.#to - this.#began) / 1000;
    const counts = { delivered: this.#delivered, sent: this.#sent };
    return (unfinished) => ({
      ...counts,
      duplicates: this.#duplicates,
      refused: Object.fromEntries(this.#refused),
      seconds,
      delivery: this.#delivery.summary(),
      echo: this.#echo.summary(),
      unfinished,
    });
  }

  /** The state of every message with a number above `after`. */
  *since(after: number): Generator<{ readonly echoed: boolean; readonly delivered: boolean }> {
    for (let number = after + 1; number < this.#next; number += 1) {
      const at = number % RING;
      if (this.#number[at] !== number) continue;
      const flags = this.#flags[at]!;
      yield {
        echoed: (flags & ECHOED) !== 0,
        delivered: (flags & DELIVERED) !== 0,
      };
    }
  }

  get last(): number {
    return this.#next - 1;
  }
}

function epochMs(performanceMs: number): number {
  return Math.floor(performance.timeOrigin + performanceMs);
}
