import type { Clock } from '../base/clock.ts';

/**
 * Limits on failed logins per user and address, failed logins per address, and registrations per address. The window, in
 * milliseconds, begins with the first attempt.
 */
export const ATTEMPT_LIMITS = {
  userAndAddress: { attempts: 10, withinMs: 300_000 },
  address: { attempts: 100, withinMs: 300_000 },
  register: { attempts: 100, withinMs: 60_000 },
} as const;

export type AttemptLimit = keyof typeof ATTEMPT_LIMITS;

/** An attempt to count. `take` counts one, `give-back` takes one back, `forget` discards all that were counted for its key. */
export type Attempt = {
  readonly do: 'take' | 'give-back' | 'forget';
  readonly limit: AttemptLimit;
  readonly key: string;
};

/** Counts attempts for several processes. */
export interface AttemptCounter {
  /**
   * `take` counts the attempt, unless the limit is reached: a refused attempt changes nothing.
   * @returns milliseconds after which a refused attempt may be made again; 0 if it was not refused
   * @throws if the counter can't be reached
   */
  count(attempt: Attempt): Promise<number>;
}

/** Keys remembered per limit: 50,000 take about 7 MB. Beyond that, the oldest are forgotten early. */
const KEYS_MAX = 50_000;

type Window = { attempts: number; readonly endsAt: number };

/** Counts in this process's memory, with a bound. */
export class MemoryAttempts {
  readonly #clock: Clock;
  readonly #keysMax: number;
  /** All windows of a limit have the same length. So they end in the order in which they began, which is the Map's own. */
  readonly #windows: Readonly<Record<AttemptLimit, Map<string, Window>>> = {
    userAndAddress: new Map(),
    address: new Map(),
    register: new Map(),
  };

  constructor(clock: Clock, keysMax: number = KEYS_MAX) {
    this.#clock = clock;
    this.#keysMax = keysMax;
  }

  /** Like AttemptCounter.count, but synchronous. */
  count({ do: what, limit, key }: Attempt): number {
    const now = this.#clock.steady();
    const windows = this.#windows[limit];
    for (const [ended, { endsAt }] of windows) {
      if (endsAt > now) break;
      windows.delete(ended);
    }
    const window = windows.get(key);
    if (what === 'take') {
      const { attempts, withinMs } = ATTEMPT_LIMITS[limit];
      if (window === undefined) this.#begin(windows, key, now + withinMs);
      else if (window.attempts >= attempts) return window.endsAt - now;
      else window.attempts++;
    } else if (window !== undefined && (what === 'forget' || --window.attempts === 0)) {
      windows.delete(key);
    }
    return 0;
  }

  /** Keys remembered, over all limits. */
  get keys(): number {
    return Object.values(this.#windows).reduce((sum, { size }) => sum + size, 0);
  }

  #begin(windows: Map<string, Window>, key: string, endsAt: number): void {
    for (const oldest of windows.keys()) {
      if (windows.size < this.#keysMax) break;
      windows.delete(oldest);
    }
    windows.set(key, { attempts: 1, endsAt });
  }
}
