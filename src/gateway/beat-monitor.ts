import type { Clock } from '../base/clock.ts';
import type { Beat } from '../core/events.ts';

/** After this long without a beat, the writer or the subscription counts as dead, in milliseconds. */
export const SILENCE_MS = 3_000;

export type BeatVerdict = {
  /** Events may have been lost, and nobody knows whose: ask the store about every user. */
  readonly resync: boolean;
  /** The database has another history now, so every cursor is void. */
  readonly epochChanged: boolean;
};

/** Evaluates the writer's beats: what they prove, and which events they show to be missing (G5). Pure but for its clock. */
export class BeatMonitor {
  readonly #clock: Clock;
  #last: { readonly beat: Beat; readonly at: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  hear(beat: Beat): BeatVerdict {
    const last = this.#last?.beat;
    this.#last = { beat, at: this.#clock.steady() };
    if (last === undefined) return { resync: true, epochChanged: false };
    const next = last.term === beat.term ? last.seq + 1 : -1;
    return { resync: beat.seq !== next, epochChanged: last.epoch !== beat.epoch };
  }

  /** Why sends would not be stored and delivered now; undefined if they would. */
  get trouble(): string | undefined {
    if (this.#last === undefined) return 'the writer has not been heard yet';
    const silence = this.#clock.steady() - this.#last.at;
    if (silence > SILENCE_MS) return `the writer has not been heard for ${Math.round(silence / 1000)} s`;
    const { writer } = this.#last.beat;
    return writer.ok ? undefined : `the writer can't commit: ${writer.reason}`;
  }
}
