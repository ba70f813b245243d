import { isIPv6 } from 'node:net';

/** Where an IPv6 address carries an IPv4 one in its last 32 bits: mapped, or translated by the well-known prefix (RFC 6052). */
const CARRIES_IPV4 = /^(0:0:0:0:0:ffff|64:ff9b:0:0:0:0)$/;

/** An address as some proxies forward it: with the port it came from, where each connection would be a client of its own, or in brackets. */
const DRESSED = /^(?:\[([^\]]*)\](?::\d+)?|([\d.]+):\d+)$/;

/**
 * What stands for one client in a limit: its IPv4 address, or the /64 of its IPv6 address, which is the least that a client
 * is given, to choose from as it likes. What is no address stays as it is.
 */
export function networkOf(seen: string): string {
  const [, ipv6, ipv4] = DRESSED.exec(seen) ?? [];
  const address = ipv6 ?? ipv4 ?? seen;
  if (!isIPv6(address)) return address;
  // In the URL standard's form there are no leading zeros, no zone, no dotted part, no capitals, and `::` at most once.
  const { hostname } = new URL(`http://[${address.replace(/%.*$/, '')}]`);
  const [head, tail] = hostname.slice(1, -1).split('::');
  const before = head ? head.split(':') : [];
  const after = tail ? tail.split(':') : [];
  const groups = [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after];
  if (!CARRIES_IPV4.test(groups.slice(0, 6).join(':'))) return `${groups.slice(0, 4).join(':')}::/64`;
  return groups
    .slice(6)
    .map((group) => Number.parseInt(group, 16))
    .map((pair) => `${pair >> 8}.${pair & 255}`)
    .join('.');
}
