import slotOfKey from 'cluster-key-slot';
import type { Cluster } from 'ioredis';
import type { RedisAddress } from '../../config/redis-url.ts';

/** A cluster node, as the slot map names it: `host:port`. */
export type NodeKey = string;

/** Number of slots in a cluster. */
const SLOTS = 16_384;

/**
 * The slot of a key or a channel. The text between the first `{` and the next `}` decides, unless it is empty: then the whole
 * name does. In that case cluster-key-slot 1.1 wrongly looks for a later `}`. A user id may contain all of that.
 */
export function slotOf(name: string): number {
  const open = name.indexOf('{');
  return open !== -1 && name[open + 1] === '}' ? crc16(Buffer.from(name)) % SLOTS : slotOfKey(name);
}

/** CRC16/XMODEM, as Redis Cluster's specification demands. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc;
}

/** The master of a slot, as far as is known. */
export const ownerOf = (cluster: Cluster, slot: number): NodeKey | undefined => cluster.slots[slot]?.[0];

export function addressOf(key: NodeKey): RedisAddress {
  const colon = key.lastIndexOf(':');
  return { host: key.slice(0, colon), port: Number(key.slice(colon + 1)) };
}
