import type { Clock } from '../base/clock.ts';

/**
 * Failed logins per user and address, failed logins per address, and registrations per address: how many there may be
 * within so many milliseconds of the first.
 */
export const ATTEMPT_LIMITS = {
  userAndAddress: { attempts: 10, withinMs: 300_000 },
  address: { attempts: 100, withinMs: 300_000 },
  register: { attempts: 100, withinMs: 60_000 },
} as const;

export type AttemptLimit = keyof typeof ATTEMPT_LIMITS;

/** An attempt to count, and what to do about it: `give-back` takes one back, `forget` all that were counted of its key. */
export type Attempt = {
  readonly do: 'take' | 'give-back' | 'forget';
  readonly limit: AttemptLimit;
  readonly key: string;
};

/** Counts for several processes. */
export interface AttemptCounter {
  /**
   * `take` counts the attempt, unless the limit is reached: a refused attempt changes nothing.
   * @returns milliseconds after which a refused attempt may be made again; 0 if it was not refused
   * @throws if nobody counts at the moment
   */
  count(attempt: Attempt): Promise<number>;
}

/** Keys each limit remembers: 50,000 take some 7 MB. Beyond, the oldest are forgotten early. */
const KEYS_MAX = 50_000;

type Window = { attempts: number; readonly endsAt: number };

/** Counts in this process's memory, which is bounded. */
export class MemoryAttempts {
  readonly #clock: Clock;
  readonly #keysMax: number;
  /** A limit's windows are all of one length: the order in which they began, a Map's own, is that in which they end. */
  readonly #windows: Readonly<Record<AttemptLimit, Map<string, Window>>> = {
    userAndAddress: new Map(),
    address: new Map(),
    register: new Map(),
  };

  constructor(clock: Clock, keysMax: number = KEYS_MAX) {
    this.#clock = clock;
    this.#keysMax = keysMax;
  }

  /** As an AttemptCounter does, at once. */
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

  /** Keys that are remembered, of all limits. */
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
