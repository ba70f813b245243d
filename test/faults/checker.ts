import { checkSends } from './checker-sends.ts';
import { checkStreams } from './checker-streams.ts';
import type { HistoryEvent } from './history.ts';

/*
 * The judge. A history and the rows of the database go in; what was promised and not kept comes out, counted by class.
 * Pure: the same input gives the same verdict, so that a kept history can be judged again.
 */

export const CLASSES = {
  lost: 'acknowledged, and not stored, or stored with other content (M1, G1)',
  duplicate: 'stored twice, or delivered twice to one socket or across resumes (M3, M4, R1)',
  phantom: 'delivered or stored, and never sent or never stored so (M1, G1)',
  early: 'received before it was stored (M1, G1)',
  reordered: 'delivered after a newer one, or below the point where the socket began (M4, B5)',
  misdelivered: 'delivered to a user who is neither sender nor receiver (B6, G9)',
  hole: 'not delivered to a socket that says it has everything up to there (M4, R1, G3, G5)',
  refused: 'a valid send refused for good, or a valid client turned away (M5, A3)',
  resync: 'a client was told that its history is of another past (R3)',
  unsettled: 'a send without an outcome, or a client not back, long after the last fault',
} as const;

export type ViolationClass = keyof typeof CLASSES;

export type StoredMessage = {
  id: number;
  sender: string;
  receiver: string;
  /** The text's fingerprint. */
  text: string;
  clientId: string | null;
};

export type Violation = { class: ViolationClass; what: string; at?: number };
export type Flag = (violation: Violation) => void;

export type Verdict = {
  ok: boolean;
  counts: Record<ViolationClass, number>;
  /** The first few of each class. */
  samples: Record<ViolationClass, Violation[]>;
  totals: {
    sends: number;
    attempts: number;
    acknowledged: number;
    repeats: number;
    refusals: number;
    unknown: number;
    stored: number;
    sockets: number;
    resumes: number;
    pages: number;
    delivered: number;
    peeked: number;
  };
};

const SAMPLES_KEPT = 20;

const perClass = <T>(make: () => T): Record<ViolationClass, T> =>
  Object.fromEntries(Object.keys(CLASSES).map((name) => [name, make()])) as Record<ViolationClass, T>;

export function check(events: readonly HistoryEvent[], rows: readonly StoredMessage[]): Verdict {
  const counts = perClass(() => 0);
  const samples = perClass<Violation[]>(() => []);
  const flag: Flag = (violation) => {
    counts[violation.class]++;
    if (samples[violation.class].length < SAMPLES_KEPT) samples[violation.class].push(violation);
  };

  const sends = checkSends(events, rows, flag);
  const streams = checkStreams(events, rows, flag);

  return {
    ok: Object.values(counts).every((count) => count === 0),
    counts,
    samples,
    totals: { ...sends, ...streams, stored: rows.length },
  };
}
