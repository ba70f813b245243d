import { isIPv4 } from 'node:net';

/**
 * Whether a request's Host is `localhost`, a name under it, or an IP address, with any port. A server that is only for this
 * machine answers no other names. A web page could make its own name resolve to this machine (DNS rebinding), and the browser
 * would let it read the answers as its own server's. No browser omits the header; an HTTP/1.0 health check may.
 */
export function isLocalName(host: string | undefined): boolean {
  if (!host) return true;
  const [, v6, name = ''] = /^(?:(\[[\da-f:.]+\])|([^:]*))(?::\d*)?$/i.exec(host) ?? [];
  return v6 !== undefined || isIPv4(name) || /^(?:.+\.)?localhost\.?$/i.test(name);
}
