import { isIPv4 } from 'node:net';

/**
 * Whether a request's Host is `localhost`, a name under it, or an IP address, with any port. A server for this machine alone
 * answers no others: a web page can have its own name lead here (DNS rebinding), and then reads what is answered as if it
 * came from its own server. No browser leaves the header out; a health check in HTTP/1.0 may.
 */
export function isLocalName(host: string | undefined): boolean {
  if (!host) return true;
  const [, v6, name = ''] = /^(?:(\[[\da-f:.]+\])|([^:]*))(?::\d*)?$/i.exec(host) ?? [];
  return v6 !== undefined || isIPv4(name) || /^(?:.+\.)?localhost\.?$/i.test(name);
}
