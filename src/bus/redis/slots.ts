import slotOf from 'cluster-key-slot';
import type { Cluster } from 'ioredis';
import type { RedisAddress } from '../../config/redis-url.ts';

/** A node of a cluster as its slot map names it: `host:port`. */
export type NodeKey = string;

export { slotOf };

/** The master that has a slot, as far as is known. */
export const ownerOf = (cluster: Cluster, slot: number): NodeKey | undefined => cluster.slots[slot]?.[0];

export function addressOf(key: NodeKey): RedisAddress {
  const colon = key.lastIndexOf(':');
  return { host: key.slice(0, colon), port: Number(key.slice(colon + 1)) };
}
