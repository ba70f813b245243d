/** Channel names, without the prefix that a shared Redis needs (the Redis adapter adds it). */
export const CHANNELS = {
  /** Events of one user; every gateway with a socket of theirs listens. */
  user: (user: string): string => `u:${user}`,
  /** Results of one gateway's command batches. */
  gateway: (instance: string): string => `g:${instance}`,
  /** The writer's heartbeat. */
  beat: 'beat',
  /** Who is online, told by gateways to gateways. */
  presence: 'presence',
  /** How each node is, told by primaries to primaries. */
  nodes: 'nodes',
} as const;
