/**
 * A latency histogram with logarithmic buckets: values are microseconds, kept to within 1.6 %, in constant memory.
 */

const SUB_BITS = 7;
const SUB = 1 << SUB_BITS;
const GROUPS = 40;

/** Quantiles, in milliseconds. */
export type Latency = {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
};

export class Histogram {
  readonly #buckets = new Float64Array(GROUPS * SUB);
  #count = 0;
  #max = 0;

  /** Time spans below 1 µs count as 0 µs. */
  record(microseconds: number): void {
    const value = microseconds > 0 ? Math.floor(microseconds) : 0;
    this.#buckets[bucketOf(value)]! += 1;
    this.#count += 1;
    if (value > this.#max) this.#max = value;
  }

  reset(): void {
    this.#buckets.fill(0);
    this.#count = 0;
    this.#max = 0;
  }

  /** The smallest bucket bound, in microseconds, that at least `share` (0–1) of the values do not exceed. */
  quantile(share: number): number {
    const rank = Math.ceil(share * this.#count);
    let seen = 0;
    for (let bucket = 0; bucket < this.#buckets.length; bucket += 1) {
      seen += this.#buckets[bucket]!;
      if (seen >= rank && seen > 0) return Math.min(upperBound(bucket), this.#max);
    }
    return this.#max;
  }

  summary(): Latency {
    const ms = (share: number): number => this.quantile(share) / 1000;
    return { p50: ms(0.5), p99: ms(0.99), p999: ms(0.999) };
  }
}

/** Values below SUB have a bucket each; above, every power of two is cut into SUB / 2 buckets. */
function bucketOf(value: number): number {
  if (value < SUB) return value;
  const exponent = Math.floor(Math.log2(value));
  const shift = exponent - SUB_BITS + 1;
  const top = Math.floor(value / 2 ** shift);
  return Math.min(shift * (SUB / 2) + top, GROUPS * SUB - 1);
}

function upperBound(bucket: number): number {
  if (bucket < SUB) return bucket;
  const shift = Math.floor(bucket / (SUB / 2)) - 1;
  const top = bucket - shift * (SUB / 2);
  return (top + 1) * 2 ** shift - 1;
}
