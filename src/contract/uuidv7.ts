/** What a generator reads. */
export type Uuidv7Source = {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly randomBytes: (count: number) => Uint8Array;
};

const globalSource: Uuidv7Source = {
  now: () => Date.now(),
  randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
};

/** The 12 bits after the version. A new millisecond starts in the lower half, which leaves 2,048 ids to count. */
const COUNTER_MAX = 0xfff;
const COUNTER_START_MASK = 0x7ff;

/**
 * Makes UUIDv7s (RFC 9562): 48 bits of milliseconds, then a counter, then random bits. The server's unique index is cheapest
 * when `client_id`s ascend, so one generator's ids always do, also within a millisecond and when the clock steps back.
 */
export function uuidv7Generator(source: Uuidv7Source = globalSource): () => string {
  let lastMs = -1;
  let counter = 0;
  return () => {
    const bytes = source.randomBytes(10);
    const ms = Math.floor(source.now());
    if (ms > lastMs) {
      lastMs = ms;
      counter = ((bytes[0]! << 8) | bytes[1]!) & COUNTER_START_MASK;
    } else if (counter < COUNTER_MAX) {
      counter += 1;
    } else {
      // Counted out: borrow from the next millisecond rather than wait for it.
      lastMs += 1;
      counter = 0;
    }
    const time = lastMs.toString(16).padStart(12, '0');
    const tail = [...bytes.subarray(2)].map((byte) => byte.toString(16).padStart(2, '0'));
    const variant = ((bytes[2]! & 0x3f) | 0x80).toString(16);
    return `${time.slice(0, 8)}-${time.slice(8)}-7${counter.toString(16).padStart(3, '0')}-${variant}${tail[1]}-${tail.slice(2).join('')}`;
  };
}
