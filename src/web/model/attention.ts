import { nameHere } from './site.ts';

/** Whether the user is looking at this tab: it is visible and has the focus. */
export type Attention = {
  readonly present: boolean;
  subscribe(listener: () => void): () => void;
};

export const browserAttention: Attention = {
  get present() {
    return document.visibilityState === 'visible' && document.hasFocus();
  },
  subscribe(listener) {
    document.addEventListener('visibilitychange', listener);
    window.addEventListener('focus', listener);
    window.addEventListener('blur', listener);
    return () => {
      document.removeEventListener('visibilitychange', listener);
      window.removeEventListener('focus', listener);
      window.removeEventListener('blur', listener);
    };
  },
};

const LOCK = nameHere('present');

/**
 * Tells the other tabs while this one has the user's attention. It holds a lock, which a crashing tab can't leave behind. Without
 * locks (an insecure origin), tabs don't know of each other; such an origin has no notifications either.
 */
export function announcePresence(attention: Attention): () => void {
  let release: (() => void) | null = null;
  const update = () => {
    if (attention.present && release === null && 'locks' in navigator) {
      const { promise, resolve } = Promise.withResolvers<void>();
      release = resolve;
      navigator.locks.request(LOCK, { mode: 'shared' }, () => promise).catch(() => {});
    } else if (!attention.present) {
      release?.();
      release = null;
    }
  };
  update();
  const unsubscribe = attention.subscribe(update);
  return () => {
    unsubscribe();
    release?.();
  };
}

export async function presentInAnyTab(): Promise<boolean> {
  if (!('locks' in navigator)) return false;
  // A browser that stores nothing for the page has no locks for it either. Notify all the same.
  const { held = [] }: LockManagerSnapshot = await navigator.locks.query().catch(() => ({}));
  return held.some(({ name }) => name === LOCK);
}
