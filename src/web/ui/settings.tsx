import { type FormEvent, useEffect, useId, useRef, useState, useSyncExternalStore } from 'react';
import { LIMITS } from '../../contract/limits.ts';
import type { AppModel } from '../model/app-model.ts';
import type { ChatStore } from '../model/chat-store.ts';
import { preferences, setPreferences, type Theme } from '../model/preferences.ts';
import { useListenable } from './hooks.ts';
import { CloseIcon } from './icons.tsx';
import { notificationsWork } from './notification-offer.tsx';

type SettingsProps = { readonly model: AppModel; readonly store: ChatStore; readonly onClose: () => void };

export function Settings({ model, store, onClose }: SettingsProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  /** Where a click began. Selecting text in a field may end anywhere, and must not count as a click there. */
  const pressed = useRef<EventTarget>(null);
  const id = useId();
  useEffect(() => dialog.current?.showModal(), []);
  const unsent = useSyncExternalStore(
    (changed) => store.client.on('outbox', changed),
    () => store.client.outbox.length,
  );
  return (
    <dialog
      ref={dialog}
      className="settings"
      aria-labelledby={id}
      onClose={onClose}
      onPointerDown={(event) => {
        pressed.current = event.target;
      }}
      onClick={(event) => {
        const outside = event.target === event.currentTarget && pressed.current === event.currentTarget;
        if (outside) event.currentTarget.close();
      }}
      onKeyDown={(event) => event.stopPropagation()}
    >
      <div className="settings-body">
        <header className="settings-head">
          <h2 id={id}>Settings</h2>
          <button
            type="button"
            className="icon-button"
            aria-label="Close"
            onClick={() => dialog.current?.close()}
          >
            <CloseIcon />
          </button>
        </header>
        <Appearance />
        <Notifications />
        <ChangePassword model={model} store={store} />
        <section className="settings-section">
          <h3>Session</h3>
          {unsent > 0 && (
            <p className="settings-note">
              {unsent === 1 ? 'One message has' : `${unsent} messages have`} not been sent yet. Logging out
              forgets {unsent === 1 ? 'it' : 'them'}.
            </p>
          )}
          <div className="settings-actions">
            <button type="button" className="button" onClick={() => void model.logOut({ everywhere: false })}>
              Log out
            </button>
            {store.client.session?.token !== undefined && (
              <button
                type="button"
                className="button"
                onClick={() => void model.logOut({ everywhere: true })}
              >
                Log out everywhere
              </button>
            )}
          </div>
        </section>
      </div>
    </dialog>
  );
}

const THEMES: readonly { readonly theme: Theme; readonly label: string }[] = [
  { theme: 'system', label: 'System' },
  { theme: 'light', label: 'Light' },
  { theme: 'dark', label: 'Dark' },
];

function Appearance() {
  const { theme } = useListenable(preferences);
  return (
    <fieldset className="settings-section">
      <legend>Appearance</legend>
      <div className="segments">
        {THEMES.map((choice) => (
          <label key={choice.theme} className="segment">
            <input
              type="radio"
              name="theme"
              value={choice.theme}
              checked={theme === choice.theme}
              onChange={() => setPreferences({ theme: choice.theme })}
            />
            <span>{choice.label}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

function Notifications() {
  const { notifications } = useListenable(preferences);
  const available = notificationsWork();
  const [permission, setPermission] = useState(available ? Notification.permission : 'denied');
  const on = permission === 'granted' && notifications;
  const toggle = async () => {
    if (permission === 'default') {
      const answer = await Notification.requestPermission();
      setPermission(answer);
      setPreferences({ notifications: answer === 'granted' });
    } else setPreferences({ notifications: !on });
  };
  return (
    <section className="settings-section">
      <h3>Notifications</h3>
      <label className="switch">
        <span>Desktop notifications</span>
        <input
          type="checkbox"
          role="switch"
          aria-checked={on}
          checked={on}
          disabled={permission === 'denied'}
          onChange={toggle}
        />
      </label>
      {permission === 'denied' && (
        <p className="settings-note">
          {available ? 'Your browser blocks them for this site.' : 'Your browser offers none for this site.'}
        </p>
      )}
    </section>
  );
}

function ChangePassword({ model, store }: Omit<SettingsProps, 'onClose'>) {
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState<{ readonly ok: boolean; readonly text: string } | null>(null);
  const id = useId();

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (busy || current === '' || next === '') return;
    setBusy(true);
    setResult(null);
    try {
      const problem = await model.changePassword(store, current, next);
      if (problem === null) {
        setCurrent('');
        setNext('');
      }
      setResult({ ok: problem === null, text: problem ?? 'Changed. Other sessions have ended.' });
    } finally {
      setBusy(false);
    }
  };

  return (
    <section className="settings-section">
      <h3>Password</h3>
      <form onSubmit={submit} className="settings-password">
        <input type="text" hidden readOnly autoComplete="username" value={store.state.value.me} />
        <label className="field">
          <span>Current password</span>
          <input
            type="password"
            autoComplete="current-password"
            value={current}
            onChange={(event) => setCurrent(event.target.value)}
            aria-describedby={id}
          />
        </label>
        <label className="field">
          <span>New password</span>
          <input
            type="password"
            autoComplete="new-password"
            maxLength={LIMITS.passwordUnits}
            value={next}
            onChange={(event) => setNext(event.target.value)}
            aria-describedby={id}
          />
        </label>
        <div className="settings-submit">
          <button type="submit" className="button" aria-disabled={busy || current === '' || next === ''}>
            Change
          </button>
          <p className={result?.ok ? 'settings-note' : 'settings-note is-problem'} id={id} role="status">
            {result?.text}
          </p>
        </div>
      </form>
    </section>
  );
}
