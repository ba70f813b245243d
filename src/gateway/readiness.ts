import type { z } from 'zod';
import type { Clock } from '../base/clock.ts';
import type { readyAnswer } from '../contract/http.ts';
import type { QueryPort } from '../core/queries.ts';
import type { BeatMonitor } from './beat-monitor.ts';

/** How often a reader is asked, how often until the first answer, and the age at which an answer is stale, in milliseconds. */
const ASK_EVERY_MS = 2_000;
const ASK_FIRST_EVERY_MS = 200;
const STALE_MS = 7_000;

export type ReadyAnswer = z.infer<typeof readyAnswer>;

export const OPEN_WARNING =
  'AUTH=open: anybody who reaches this server, any web page in a browser here included, can read and send as anybody';

/** Whether a send would be stored and delivered now (G10). Depends on the writer's beats and a reader's answers. */
export class Readiness {
  readonly #clock: Clock;
  readonly #queries: QueryPort;
  readonly #beats: BeatMonitor;
  readonly #commands: { readonly trouble: string | undefined };
  readonly #open: boolean;
  #answeredAt: number | undefined;
  #cancel: () => void = () => {};
  #stopped = false;
  /** Why this node should get no clients, beyond what is checked here. Set by its primary and by draining. */
  nodeTrouble: string | undefined;

  constructor(
    clock: Clock,
    queries: QueryPort,
    beats: BeatMonitor,
    commands: { readonly trouble: string | undefined },
    open: boolean,
  ) {
    this.#clock = clock;
    this.#queries = queries;
    this.#beats = beats;
    this.#commands = commands;
    this.#open = open;
  }

  /** Asks a reader at intervals, until it is stopped. `onInfo` gets each answer. */
  watch(onInfo: (info: { epoch: string; tokenSecret: string }) => void): void {
    const again = (): void => {
      if (this.#stopped) return;
      const ms = this.#answeredAt === undefined ? ASK_FIRST_EVERY_MS : ASK_EVERY_MS;
      this.#cancel = this.#clock.after(ms, () => this.watch(onInfo));
    };
    this.#queries.ask('info', {}).then((info) => {
      this.#answeredAt = this.#clock.steady();
      onInfo(info);
      again();
    }, again);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  answer(): ReadyAnswer {
    const check = (reason: string | undefined) =>
      reason === undefined ? { ok: true } : { ok: false, reason };
    const checks = {
      writer: check(this.#writerTrouble),
      reader: check(this.#readerTrouble),
      node: check(this.nodeTrouble),
    };
    const ready = Object.values(checks).every(({ ok }) => ok);
    return {
      ready,
      auth: this.#open ? 'open' : 'required',
      ...(this.#open && { warning: `${OPEN_WARNING}.` }),
      checks,
    };
  }

  /** What fails, in words, beyond what the primary knows of the node. */
  get failing(): readonly string[] {
    return [this.#writerTrouble, this.#readerTrouble].filter((reason) => reason !== undefined);
  }

  get #writerTrouble(): string | undefined {
    return this.#beats.trouble ?? this.#commands.trouble;
  }

  get #readerTrouble(): string | undefined {
    if (this.#answeredAt === undefined) return 'no reader has answered yet';
    const age = this.#clock.steady() - this.#answeredAt;
    return age > STALE_MS ? `no reader has answered for ${Math.round(age / 1000)} s` : undefined;
  }
}
