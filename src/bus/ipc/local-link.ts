import type { Link } from './items.ts';

/** Both ends of a link within one process. What one end sends reaches the other in a later turn of the event loop. */
export function localLink<A, B>(): [Link<A, B>, Link<B, A>] {
  let toFirst = (_: readonly B[]): void => {};
  let toSecond = (_: readonly A[]): void => {};
  return [
    {
      send: (items) => setImmediate(() => toSecond(items)),
      onItems: (listener) => {
        toFirst = listener;
      },
    },
    {
      send: (items) => setImmediate(() => toFirst(items)),
      onItems: (listener) => {
        toSecond = listener;
      },
    },
  ];
}
