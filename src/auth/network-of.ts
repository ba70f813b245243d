import { isIPv6 } from 'node:net';

/** The prefixes of IPv6 addresses that hold an IPv4 address in their last 32 bits: mapped, or the well-known prefix (RFC 6052). */
const CARRIES_IPV4 = /^(0:0:0:0:0:ffff|64:ff9b:0:0:0:0)$/;

/** An address as some proxies forward it: in brackets, or with its port, which would make each connection a client of its own. */
const DRESSED = /^(?:\[([^\]]*)\](?::\d+)?|([\d.]+):\d+)$/;

/**
 * The network that a limit counts as one client: the IPv4 address, or the /64 of an IPv6 address. A /64 is the least that a
 * client is given, and it may use any address in it. Anything that is not an address is returned as it is.
 */
export function networkOf(seen: string): string {
  const [, ipv6, ipv4] = DRESSED.exec(seen) ?? [];
  const address = ipv6 ?? ipv4 ?? seen;
  if (!isIPv6(address)) return address;
  // The URL standard's form has no leading zeros, no zone, no dotted part, no capitals, and `::` at most once.
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
