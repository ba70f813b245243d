import { randomUUID } from 'node:crypto';
import os from 'node:os';

const HOST_CHARS = 32;

/**
 * A name for this node, unique in the cluster and new at each start: `<host>-<4 hex digits>`. It goes into HTTP headers and Redis
 * keys. Linux takes any characters for a host's name; those that a name in DNS can't have become `-`.
 */
export function nodeName(host: string = os.hostname()): string {
  return `${host.replace(/[^\w.-]/gu, '-').slice(0, HOST_CHARS)}-${randomUUID().slice(0, 4)}`;
}
