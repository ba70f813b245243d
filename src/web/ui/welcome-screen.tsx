import { type FormEvent, useEffect, useId, useRef, useState } from 'react';
import { ClientError, type ClientErrorCode } from '../../client/index.ts';
import { LIMITS } from '../../contract/limits.ts';
import type { AppModel } from '../model/app-model.ts';
import { plural } from '../model/format.ts';
import { SITE } from '../model/site.ts';
import { isTouch } from './hooks.ts';
import { AlertIcon, EyeIcon, EyeOffIcon, Mark } from './icons.tsx';

type Problem = { readonly field: 'user' | 'password' | null; readonly text: string };
type WelcomeProps = { readonly model: AppModel; readonly notice: string | null };

/** Log in, or register: the same two fields. */
export function WelcomeScreen({ model, notice }: WelcomeProps) {
  const [register, setRegister] = useState(false);
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const userField = useRef<HTMLInputElement>(null);
  const passwordField = useRef<HTMLInputElement>(null);
  const open = useOpenServer();
  const id = useId();

  useEffect(() => {
    if (!isTouch()) userField.current?.focus();
  }, []);

  const fail = (found: Problem) => {
    setProblem(found);
    if (found.field === 'user') userField.current?.focus();
    if (found.field === 'password') passwordField.current?.focus();
  };

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (busy) return;
    if (user === '') return fail({ field: 'user', text: 'Enter your user name.' });
    if (password === '') return fail({ field: 'password', text: 'Enter your password.' });
    setBusy(true);
    setProblem(null);
    try {
      await model.logIn(user, password, { register });
    } catch (error) {
      fail(explain(error));
      setBusy(false);
    }
  };

  const problemId = problem === null ? undefined : `${id}-problem`;
  const noticeId = notice === null || problem !== null ? undefined : `${id}-notice`;
  return (
    <main className="welcome">
      <div className="welcome-card">
        <header className="welcome-head">
          <Mark size={44} />
          <h1>{register ? 'Create your account' : 'Log in to Parley'}</h1>
        </header>
        {noticeId !== undefined && (
          <p className="welcome-notice" id={noticeId}>
            {notice}
          </p>
        )}
        <form onSubmit={submit} noValidate>
          <label className="field">
            <span>User name</span>
            <input
              ref={userField}
              name="username"
              dir="auto"
              autoComplete="username"
              autoCapitalize="none"
              spellCheck={false}
              maxLength={LIMITS.userIdLookupUnits}
              value={user}
              onChange={(event) => setUser(event.target.value)}
              aria-invalid={problem?.field === 'user'}
              aria-describedby={problemId ?? noticeId}
            />
          </label>
          <PasswordField
            input={passwordField}
            value={password}
            onChange={setPassword}
            isNew={register}
            invalid={problem?.field === 'password'}
            describedBy={problemId}
          />
          <p className="form-problem" id={problemId} role="alert">
            {problem !== null && (
              <>
                <AlertIcon size={16} />
                <span>{problem.text}</span>
              </>
            )}
          </p>
          <button type="submit" className="button button-primary" aria-disabled={busy}>
            {busy ? 'One moment…' : register ? 'Create account' : 'Log in'}
          </button>
        </form>
        <p className="welcome-switch">
          {/* An element, for the browser's translation: that replaces bare text nodes, which then would not change any more. */}
          <span>{register ? 'You have an account? ' : 'New here? '}</span>
          <button
            type="button"
            className="link-button"
            onClick={() => {
              setRegister(!register);
              setProblem(null);
              userField.current?.focus();
            }}
          >
            {register ? 'Log in' : 'Create an account'}
          </button>
        </p>
        {open && (
          <p className="welcome-foot">
            This server is open: it lets anyone read and write as anyone. Use it on a machine of your own.
          </p>
        )}
      </div>
    </main>
  );
}

type PasswordFieldProps = {
  readonly input: React.Ref<HTMLInputElement>;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly isNew: boolean;
  readonly invalid: boolean;
  readonly describedBy: string | undefined;
};

function PasswordField({ input, value, onChange, isNew, invalid, describedBy }: PasswordFieldProps) {
  const [shown, setShown] = useState(false);
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>Password</label>
      <div className="field-with-button">
        <input
          ref={input}
          id={id}
          name="password"
          type={shown ? 'text' : 'password'}
          autoComplete={isNew ? 'new-password' : 'current-password'}
          // Passwords from an old database may be longer than new ones.
          maxLength={isNew ? LIMITS.passwordUnits : undefined}
          value={value}
          onChange={(event) => onChange(event.target.value)}
          aria-invalid={invalid}
          aria-describedby={describedBy}
        />
        <button
          type="button"
          className="icon-button"
          aria-pressed={shown}
          aria-label="Show password"
          onClick={() => setShown(!shown)}
        >
          {shown ? <EyeOffIcon /> : <EyeIcon />}
        </button>
      </div>
    </div>
  );
}

const FIELD_OF: { readonly [code in ClientErrorCode]?: Problem['field'] } = {
  user_exists: 'user',
  invalid_user_id: 'user',
  invalid_password: 'password',
  invalid_credentials: 'password',
};

/** In this form's words. The contract's are for programmers. */
const TEXT_OF: { readonly [code in ClientErrorCode]?: string } = {
  user_exists: 'This name is taken.',
  invalid_user_id: '1 to 64 characters, none of them invisible, and no space at either end.',
  invalid_credentials: 'The user name or the password is wrong.',
  network: 'The server could not be reached.',
  bad_answer: 'What answered is not a Parley server.',
};

function explain(error: unknown): Problem {
  if (!(error instanceof ClientError)) return { field: null, text: 'Something went wrong. Try again.' };
  const { code, message, retryAfterMs } = error;
  if (code === 'rate_limited') {
    const wait = retryAfterMs === undefined ? 'a moment' : plural(Math.ceil(retryAfterMs / 1_000), 'second');
    return { field: null, text: `Too many attempts. Try again in ${wait}.` };
  }
  return { field: FIELD_OF[code] ?? null, text: TEXT_OF[code] ?? message };
}

function useOpenServer(): boolean {
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const abort = new AbortController();
    fetch(new URL('readyz', SITE), { signal: abort.signal })
      .then((response) => response.json())
      .then((answer: { auth?: unknown }) => setOpen(answer.auth === 'open'))
      .catch(() => {});
    return () => abort.abort();
  }, []);
  return open;
}
