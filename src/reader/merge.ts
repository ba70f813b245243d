/** A source of ascending or descending ids, read in chunks. */
export type Chunked<Row> = (after: number, count: number) => readonly Row[];

type Source<Row> = { readonly read: Chunked<Row>; rows: readonly Row[]; next: number };

/** Rows read from one source at a time: few for those that contribute little, more for those that go on. */
const FIRST_CHUNK = 16;
const CHUNK = 128;

/**
 * Merges sources that are each sorted into one sorted sequence, reading no more of any than is needed: the cost is the
 * number of sources plus the number of rows taken, however long the sources are.
 *
 * @param direction 1: ascending ids, -1: descending
 * @param start exclusive bound: only rows beyond it in the direction
 */
export function* mergeSorted<Row>(
  sources: readonly Chunked<Row>[],
  idOf: (row: Row) => number,
  direction: 1 | -1,
  start: number,
): Generator<Row> {
  const heap: Source<Row>[] = [];
  const key = (source: Source<Row>): number => idOf(source.rows[source.next] as Row) * direction;
  for (const read of sources) {
    const rows = read(start, FIRST_CHUNK);
    if (rows.length > 0) heap.push({ read, rows, next: 0 });
  }
  const sink = (from: number): void => {
    for (let at = from; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && key(heap[child] as Source<Row>) < key(heap[least] as Source<Row>))
          least = child;
      }
      if (least === at) return;
      [heap[at], heap[least]] = [heap[least] as Source<Row>, heap[at] as Source<Row>];
      at = least;
    }
  };
  for (let i = (heap.length >> 1) - 1; i >= 0; i--) sink(i);
  while (heap.length > 0) {
    const source = heap[0] as Source<Row>;
    const row = source.rows[source.next] as Row;
    yield row;
    source.next++;
    if (source.next === source.rows.length) {
      source.rows = source.read(idOf(row), CHUNK);
      source.next = 0;
      if (source.rows.length === 0) {
        const last = heap.pop() as Source<Row>;
        if (heap.length > 0) heap[0] = last;
      }
    }
    sink(0);
  }
}
