import {
  type KeyboardEvent as ReactKeyboardEvent,
  useEffect,
  useEffectEvent,
  useState,
  useSyncExternalStore,
} from 'react';
import { dayOf } from '../model/format.ts';
import type { Listenable } from '../model/listenable.ts';

export const useListenable = <T>(listenable: Listenable<T>): T =>
  useSyncExternalStore(listenable.subscribe, listenable.get);

/** A part of a listenable. Renders again only when that part changes. `select` must not create new objects. */
export const usePart = <T, P>(listenable: Listenable<T>, select: (value: T) => P): P =>
  useSyncExternalStore(listenable.subscribe, () => select(listenable.value));

/** The present time, in milliseconds since 1970, renewed when the day changes. */
export function useToday(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    // Timers stop while the machine sleeps, and clocks are set. Looking every minute is simpler than trusting one timer.
    const timer = setInterval(() => {
      if (dayOf(Date.now()) !== dayOf(now)) setNow(Date.now());
    }, 60_000);
    return () => clearInterval(timer);
  }, [now]);
  return now;
}

/** True once `value` has been true for `ms`; false at once. For states that are only worth mentioning if they last. */
export function useLasting(value: boolean, ms: number): boolean {
  const [lasting, setLasting] = useState(false);
  useEffect(() => {
    if (!value) {
      setLasting(false);
      return;
    }
    const timer = setTimeout(() => setLasting(true), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return value && lasting;
}

/** Whole seconds until a time, counting down. */
export function useSecondsUntil(time: number | null): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (time === null) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [time]);
  return time === null ? 0 : Math.max(0, Math.ceil((time - now) / 1_000));
}

export function useKeyDown(handle: (event: KeyboardEvent) => void): void {
  const onKeyDown = useEffectEvent(handle);
  useEffect(() => {
    const listener = (event: KeyboardEvent) => onKeyDown(event);
    window.addEventListener('keydown', listener);
    return () => window.removeEventListener('keydown', listener);
  }, []);
}

/** A touch screen: its keyboard covers half of it, and has no real shift key. */
export const isTouch = (): boolean => matchMedia('(pointer: coarse)').matches;

/**
 * Whether a key is for the input method (Japanese, Chinese, …), not for the page. In Safari, the composition is over before the
 * key that ends it, so only the key code tells.
 */
export const isComposing = ({ nativeEvent }: ReactKeyboardEvent): boolean =>
  nativeEvent.isComposing || nativeEvent.keyCode === 229;
