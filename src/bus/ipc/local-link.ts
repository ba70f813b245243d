import type { Link } from './items.ts';

/** Both ends of a link within one process. What one end sends has reached the other when `send` returns. */
export function localLink<A, B>(): [Link<A, B>, Link<B, A>] {
  let toFirst = (_: readonly B[]): void => {};
  let toSecond = (_: readonly A[]): void => {};
  return [
    {
      send: (items) => toSecond(items),
      onItems: (listener) => {
        toFirst = listener;
      },
    },
    {
      send: (items) => toFirst(items),
      onItems: (listener) => {
        toSecond = listener;
      },
    },
  ];
}
