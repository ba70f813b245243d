/** 1234 → 1,234; 12.34 → 12.3; 0.4 → 0.4 */
export function number(value: number): string {
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : 1;
  return value.toLocaleString('en', { maximumFractionDigits: digits });
}

/** Milliseconds with a unit that keeps them short; a dash where there was nothing to measure. */
export function latency(ms: number | null): string {
  if (ms === null) return '–';
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

export function bytes(value: number): string {
  const mb = value / 1e6;
  return mb < 1_000 ? `${Math.round(mb)} MB` : `${(mb / 1_000).toFixed(1)} GB`;
}

/** A share of one processor: 0.42 → 42 % */
export const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** 93,784,000 → 1 d 2 h */
export function duration(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1_000],
  ] as const;
  const first = units.findIndex(([, size]) => ms >= size);
  if (first < 0) return '0 s';
  const parts: string[] = [];
  let rest = ms;
  for (const [unit, size] of units.slice(first, first + 2)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${unit}`);
  }
  return parts.join(' ');
}

/** Local time of day of a moment in Unix milliseconds: 14:03:59 */
export const clock = (at: number): string => new Date(at).toTimeString().slice(0, 8);
