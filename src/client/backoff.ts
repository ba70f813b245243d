export type BackoffOptions = {
  /** Ceiling of the first delay, in milliseconds; 1,000 by default. */
  readonly baseMs?: number | undefined;
  /** Highest ceiling, in milliseconds; 30,000 by default. */
  readonly capMs?: number | undefined;
};

const RECONNECT_BACKOFF = { baseMs: 1_000, capMs: 30_000 } as const;

/**
 * Exponential back-off with full jitter: each delay is uniform between 0 and a ceiling that doubles. Spreading over the
 * whole range, not around a mean, keeps clients that failed together from coming back together.
 * @param attempt failures so far, from 0
 * @param random uniform in [0, 1)
 * @returns whole milliseconds in [0, min(capMs, baseMs · 2^attempt))
 */
export function backoffMs(attempt: number, random: () => number, options: BackoffOptions = {}): number {
  const { baseMs = RECONNECT_BACKOFF.baseMs, capMs = RECONNECT_BACKOFF.capMs } = options;
  // Beyond 2^30 the cap has long been reached, and the power would lose its way to Infinity.
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(Math.max(attempt, 0), 30));
  return Math.floor(random() * ceiling);
}
