/** A sorted list of ids, by its number, with its first id. */
export type Head = readonly [list: number, first: number];

/** Reads at most `most` ids of a list, those that follow `after`. */
export type ReadIds = (list: number, after: number, most: number) => readonly number[];

type Source = { readonly list: number; ids: readonly number[]; next: number; chunk: number };

/** Ids read from a list at a time: first a few, for lists that contribute little, then more. */
const FIRST_CHUNK = 16;
const CHUNK = 256;

/**
 * Merges sorted lists into one sorted sequence. A list is read only once its first id has been taken. So the cost is the number
 * of heads plus the number of ids taken, however long the lists are.
 *
 * @param heads each list with its first id, sorted by that
 * @param direction 1: ascending ids, -1: descending
 */
export function* mergeSorted(heads: readonly Head[], read: ReadIds, direction: 1 | -1): Generator<number> {
  // A sorted array is a heap.
  const heap = heads.map(([list, first]): Source => ({ list, ids: [first], next: 0, chunk: 1 }));
  const key = (at: number): number => {
    const { ids, next } = heap[at] as Source;
    return (ids[next] as number) * direction;
  };
  while (heap.length > 0) {
    const source = heap[0] as Source;
    const id = source.ids[source.next++] as number;
    yield id;
    if (source.next === source.ids.length && !readOn(source, id, read)) {
      const last = heap.pop() as Source;
      if (heap.length > 0) heap[0] = last;
    }
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && key(child) < key(least)) least = child;
      }
      if (least === at) break;
      [heap[at], heap[least]] = [heap[least] as Source, heap[at] as Source];
      at = least;
    }
  }
}

/** Whether the list continues after this id. A list that returned less than it was asked for has ended. */
function readOn(source: Source, after: number, read: ReadIds): boolean {
  if (source.ids.length < source.chunk) return false;
  source.chunk = source.chunk < FIRST_CHUNK ? FIRST_CHUNK : CHUNK;
  source.ids = read(source.list, after, source.chunk);
  source.next = 0;
  return source.ids.length > 0;
}
