import type { z } from 'zod';
import { ParleyError } from '../../contract/errors.ts';
import * as http from '../../contract/http.ts';
import { LIMITS } from '../../contract/limits.ts';
import { newUserId } from '../../contract/values.ts';
import type { Identity } from '../identities.ts';
import { parseFields } from './parse.ts';
import type { RouteContext } from './route-context.ts';

type Body = Record<string, unknown>;

/** `POST /register` (rule H4). */
export async function register(
  context: RouteContext,
  body: Body,
  address: string,
): Promise<z.infer<typeof http.registerAnswer>> {
  const { user_id: asked, password } = body;
  if (!asked || !password) throw new ParleyError('missing_credentials');
  const { data: user } = newUserId.safeParse(asked);
  if (user === undefined) throw new ParleyError('invalid_user_id');
  checkNewPassword(context, password);
  await context.limits.register(address);
  // A known user is refused without hashing. Between two registrations at once, the writer decides.
  if ((await context.queries.ask('credentials', { user })) !== null) throw new ParleyError('user_exists');
  const passwordHash = await context.passwords.hash(password, address);
  await context.command({ kind: 'register', user, passwordHash });
  context.log.info({ event: 'registered' }, 'user registered');
  return { message: 'User registered successfully.' };
}

/** `POST /login` (rules H5, A6). Whatever is wrong, the answer and the work are the same. */
export async function login(
  context: RouteContext,
  body: Body,
  address: string,
): Promise<z.infer<typeof http.loginAnswer>> {
  const parsed = http.loginRequest.safeParse(body);
  if (!parsed.success) throw new ParleyError('invalid_credentials');
  const { user_id: user, password } = parsed.data;
  const version = await checkPassword(context, user, password, address);
  if (version === undefined) {
    context.loggedIn('failed');
    context.log.info({ event: 'login_failed' }, 'login failed');
    throw new ParleyError('invalid_credentials');
  }
  const issued = await context.identities.issue(user, version);
  context.loggedIn('ok');
  context.log.info({ event: 'logged_in' }, 'user logged in');
  return { message: 'Login successful.', ...issued };
}

/** `POST /logout` (rule A5). */
export async function logout(
  context: RouteContext,
  { claims }: Identity,
  everywhere: boolean,
): Promise<z.infer<typeof http.logoutAnswer>> {
  if (claims !== undefined) {
    const { user, tokenId, expiresAt, version } = claims;
    await context.command(
      everywhere
        ? { kind: 'logout-everywhere', user, version }
        : { kind: 'logout', user, tokenId, expiresAt },
    );
  }
  return { message: 'Logged out.' };
}

/** `POST /change-password` (rule A5). */
export async function changePassword(
  context: RouteContext,
  { user }: Identity,
  body: Body,
  address: string,
): Promise<z.infer<typeof http.changePasswordAnswer>> {
  checkNewPassword(context, body['new_password']);
  const request = parseFields(body, http.changePasswordRequest);
  // The current password could be guessed here, too. So the limits are those of a login.
  const version = await checkPassword(context, user, request.current_password, address);
  if (version === undefined) throw new ParleyError('invalid_credentials');
  const passwordHash = await context.passwords.hash(request.new_password, address);
  const outcome = await context.command({ kind: 'change-password', user, passwordHash, version });
  const issued =
    outcome.kind === 'version' ? await context.identities.issue(user, outcome.version) : undefined;
  context.log.info({ event: 'password_changed' }, 'password changed');
  return { message: 'Password changed.', ...issued };
}

/**
 * Checks a user's password, within the limits for guesses (rule A6).
 * @returns the user's token version; undefined, after the same work, if the user or the password is wrong
 */
async function checkPassword(
  context: RouteContext,
  user: string,
  password: string,
  address: string,
): Promise<number | undefined> {
  return context.limits.attempt(user, address, async () => {
    const known = await context.queries.ask('credentials', { user });
    const matches = await context.passwords.matches(password, known?.passwordHash, address);
    return matches ? known?.version : undefined;
  });
}

function checkNewPassword(context: RouteContext, password: unknown): asserts password is string {
  const ok =
    typeof password === 'string' &&
    password.length >= context.passwordMinLength &&
    password.length <= LIMITS.passwordUnits &&
    password.isWellFormed();
  if (!ok) {
    throw new ParleyError(
      'invalid_password',
      `A password has ${context.passwordMinLength} to ${LIMITS.passwordUnits} characters, all of them well-formed.`,
    );
  }
}
