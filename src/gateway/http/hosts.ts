import type { IncomingMessage } from 'node:http';
import { isLocalName } from '../../base/local-names.ts';
import { ParleyError } from '../../contract/errors.ts';

/**
 * Checks the Host of a request or a WebSocket upgrade.
 * @param localNamesOnly whether it must be `localhost` or an address
 * @throws ParleyError invalid_request | origin_not_allowed
 */
export function checkHost(
  { headersDistinct: { host: hosts = [] }, httpVersion }: IncomingMessage,
  localNamesOnly: boolean,
): void {
  const [host] = hosts;
  if (host === undefined && httpVersion === '1.1')
    throw new ParleyError('invalid_request', 'A request needs a Host header.');
  // A proxy in between may have looked at the other one.
  if (hosts.length > 1) throw new ParleyError('invalid_request', 'A request has one Host header.');
  if (localNamesOnly && !isLocalName(host))
    throw new ParleyError(
      'origin_not_allowed',
      'AUTH=open without HOST answers only to localhost and IP addresses. To be reached by another name, set HOST (127.0.0.1 keeps it on this machine).',
    );
}
