import { CLIENT_ID, LIMITS } from '../contract/limits.ts';
import { ClientError } from './errors.ts';
import type { KeyValueStorage } from './storage.ts';
import type { ClientEvents } from './types.ts';

/*
 * What the server would refuse anyway, told without asking it. Callers in JavaScript may pass anything.
 */

/** Whether a user may have this id. */
export const isUserId = (id: unknown): boolean =>
  typeof id === 'string' && id.length >= 1 && id.length <= LIMITS.userIdLookupUnits && id.isWellFormed();

/** Message ids are above 0; 0 stands for none. */
export const isMessageId = (id: unknown): boolean => Number.isSafeInteger(id) && (id as number) >= 0;

const isText = (text: unknown): boolean =>
  typeof text === 'string' && text.length >= 1 && text.length <= LIMITS.messageUnits && text.isWellFormed();

const isClientId = (id: unknown): boolean => typeof id === 'string' && CLIENT_ID.test(id);

export function wrongSend(to: unknown, message: unknown, clientId: unknown): ClientError | null {
  if (!isText(message)) return new ClientError('invalid_message');
  if (!isUserId(to)) return new ClientError('unknown_user');
  if (clientId !== undefined && !isClientId(clientId)) {
    return new ClientError('invalid_frame', 'A clientId has 1 to 64 visible ASCII characters.');
  }
  return null;
}

/** The server's address. @throws ClientError for one that no request can go to: otherwise each would only say `network` */
export function serverUrl(address: unknown): URL {
  try {
    const url = new URL(String(address));
    if (/^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url;
  } catch {
    // Not a URL at all.
  }
  throw new ClientError(
    'invalid_request',
    'The url is the http:// or https:// address of the server, without a user name.',
  );
}

/** The last argument of a call: of a bare value, as in `send(to, text, clientId)` or `logout(true)`, nothing would be read. */
export function wrongOptions(options: unknown): ClientError | null {
  if (options === null || options === undefined || typeof options === 'object') return null;
  return new ClientError('invalid_request', 'Options are passed by name, as in { limit: 50 }.');
}

/** @throws ClientError for a bare value */
export function namedOptions<T extends object>(options: T | null | undefined): Partial<T> {
  const wrong = wrongOptions(options);
  if (wrong !== null) throw wrong;
  return options ?? {};
}

/** @throws ClientError for what is no list, `'bob'` being one of letters */
export function userList(users: unknown): readonly string[] {
  if (typeof users === 'object' && users !== null && Symbol.iterator in users)
    return [...(users as Iterable<string>)];
  throw new ClientError('invalid_frame', "The users to watch are an array, as in ['bob'].");
}

const STORAGE: Readonly<Record<keyof KeyValueStorage, true>> = {
  getItem: true,
  setItem: true,
  removeItem: true,
  keys: true,
};

/**
 * @throws ClientError for one that lacks a method: with the bare `localStorage`, nothing would be sent after a reload;
 * and for none where a cursor is to be kept: after a reload, messages would be missed
 */
export function usableStorage(
  storage: KeyValueStorage | null | undefined,
  cursorName: string | null | undefined,
): KeyValueStorage | undefined {
  if (storage === null || storage === undefined) {
    if (cursorName === null || cursorName === undefined) return undefined;
    throw new ClientError('invalid_request', 'A cursorName needs a storage to keep the cursor in.');
  }
  const methods = Object.keys(STORAGE) as (keyof KeyValueStorage)[];
  if (methods.every((method) => typeof storage[method] === 'function')) return storage;
  throw new ClientError(
    'invalid_request',
    'A storage has getItem, setItem, removeItem and keys: webStorage(localStorage) makes one.',
  );
}

const EVENTS: Readonly<Record<keyof ClientEvents, true>> = {
  message: true,
  state: true,
  session: true,
  read: true,
  typing: true,
  presence: true,
  resync: true,
  outbox: true,
  problem: true,
};

/** @throws ClientError for a listener that would never be called, or can't be */
export function checkListener(event: unknown, listener: unknown): void {
  if (typeof event !== 'string' || !Object.hasOwn(EVENTS, event)) {
    const names = Object.keys(EVENTS).join(', ');
    throw new ClientError('invalid_request', `There is no event '${String(event)}', but ${names}.`);
  }
  if (typeof listener !== 'function')
    throw new ClientError('invalid_request', `The listener of '${event}' is a function.`);
}
