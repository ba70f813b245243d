import { Listenable } from './listenable.ts';
import { nameHere } from './site.ts';
import { onChange, read, shared, write } from './storage.ts';

export type Theme = 'system' | 'light' | 'dark';
export type Preferences = {
  readonly theme: Theme;
  readonly notifications: boolean;
  /** The user declined the offer to turn on notifications. */
  readonly notificationsDeclined: boolean;
};

const KEY = nameHere('preferences');
const DEFAULTS: Preferences = { theme: 'system', notifications: true, notificationsDeclined: false };

function load(): Preferences {
  try {
    const stored: unknown = JSON.parse(read(shared, KEY) ?? '{}');
    const { theme, notifications, notificationsDeclined } = stored as Record<string, unknown>;
    return {
      theme: theme === 'light' || theme === 'dark' ? theme : 'system',
      notifications: notifications !== false,
      notificationsDeclined: notificationsDeclined === true,
    };
  } catch {
    return DEFAULTS;
  }
}

export const preferences = new Listenable<Preferences>(load());

function apply({ theme }: Preferences): void {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function setPreferences(part: Partial<Preferences>): void {
  const next = { ...preferences.value, ...part };
  preferences.set(next);
  apply(next);
  write(shared, KEY, JSON.stringify(next));
}

/** Applies the preferences now, and whenever another tab changes them. */
export function startPreferences(): void {
  apply(preferences.value);
  onChange(KEY, () => {
    preferences.set(load());
    apply(preferences.value);
  });
}
