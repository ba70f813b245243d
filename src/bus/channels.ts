/** Channel names. The Redis adapter adds the prefix that a shared Redis needs. */
export const CHANNELS = {
  /** Events of one user. Every gateway with a socket of theirs listens. */
  user: (user: string): string => `u:${user}`,
  /** Results of one gateway's command batches. */
  gateway: (instance: string): string => `g:${instance}`,
  /** The writer's heartbeat. */
  beat: 'beat',
  /** Who is online, from gateway to gateway. */
  presence: 'presence',
  /** The state of each node, from primary to primary. */
  nodes: 'nodes',
} as const;
