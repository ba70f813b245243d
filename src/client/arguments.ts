import { CLIENT_ID, LIMITS } from '../contract/limits.ts';
import { ClientError } from './errors.ts';

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
