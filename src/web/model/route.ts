import { Listenable } from './listenable.ts';

/**
 * `#/alice` is the conversation with alice, and `#/` the one with the empty user id that an old database may have. The back
 * button leaves it.
 */
export const hrefOf = (peer: string): string => `#/${encodeURIComponent(peer)}`;

function current(): string | null {
  const match = /^#\/(.*)$/.exec(location.hash);
  if (match === null) return null;
  try {
    return decodeURIComponent(match[1]!);
  } catch {
    return null;
  }
}

export const route = new Listenable<string | null>(current());
window.addEventListener('hashchange', () => route.set(current()));

export function go(peer: string | null): void {
  if (peer === route.value) return;
  if (peer !== null) location.hash = hrefOf(peer);
  else {
    history.pushState(null, '', location.pathname);
    route.set(null);
  }
}
