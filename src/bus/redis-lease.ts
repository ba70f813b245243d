import type { DatabaseIdentity, LeaseAnswer, Leaser } from '../core/lease.ts';
import type { RedisClient } from './redis-connection.ts';

/** How long a lease lives without being renewed, in milliseconds. A dead node's writer is replaced after this. */
export const LEASE_MS = 2_000;

/*
 * KEYS: lease, database.  ARGV: holder, lease ms, 'acquire' | 'renew', database id, epoch, generation ('' ×3: no file yet).
 * The database key remembers, for good, which database the cluster has and how far its writers have got: a store with
 * another one, or with an old copy, is refused.
 */
const LEASE_SCRIPT = `
local holder = redis.call('GET', KEYS[1])
local known = redis.call('HMGET', KEYS[2], 'id', 'epoch', 'generation')
if known[1] and ARGV[4] == '' then return {'refused', 'absent'} end
if known[1] and known[1] ~= ARGV[4] then return {'refused', 'other', known[1]} end
if known[1] and known[2] == ARGV[5] and tonumber(known[3]) > tonumber(ARGV[6]) then
  return {'refused', 'older', known[3]}
end
if holder and holder ~= ARGV[1] then return {'taken', holder} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if ARGV[3] == 'renew' then
  redis.call('HSET', KEYS[2], 'id', ARGV[4], 'epoch', ARGV[5], 'generation', ARGV[6])
end
return {'held'}
`;
const RELEASE_SCRIPT = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end`;

type LeaseCommands = {
  parleyLease(...args: (string | number)[]): Promise<string[]>;
  parleyRelease(...args: string[]): Promise<unknown>;
};

/** The writer's lease of a cluster, in Redis. `holder` names the node, so that its next writer need not wait. */
export class RedisLeaser implements Leaser {
  readonly #redis: RedisClient & LeaseCommands;
  readonly #keys: readonly [lease: string, database: string];
  readonly #holder: string;
  /** Once refused for another database, refused until restart: after a FLUSHALL the cluster can't tell whose it had. */
  #refused: LeaseAnswer | undefined;
  /** The cluster was heard to have a database, while this node has no file: it never makes one. */
  #absent = false;
  /** The newest state of the database that was ever heard of, for the same reason. */
  #newest: { epoch: string; generation: number } | undefined;

  constructor(redis: RedisClient, prefix: string, holder: string) {
    redis.defineCommand('parleyLease', { numberOfKeys: 2, lua: LEASE_SCRIPT });
    redis.defineCommand('parleyRelease', { numberOfKeys: 1, lua: RELEASE_SCRIPT });
    this.#redis = redis as RedisClient & LeaseCommands;
    // One hash slot for both, so that the script runs on Redis Cluster too.
    this.#keys = [`{${prefix}writer}`, `{${prefix}writer}:database`];
    this.#holder = holder;
  }

  acquire(identity: DatabaseIdentity | undefined): Promise<LeaseAnswer> {
    return this.#lease('acquire', identity);
  }

  renew(identity: DatabaseIdentity): Promise<LeaseAnswer> {
    return this.#lease('renew', identity);
  }

  async release(): Promise<void> {
    await this.#redis.parleyRelease(this.#keys[0], this.#holder);
  }

  async #lease(action: 'acquire' | 'renew', identity: DatabaseIdentity | undefined): Promise<LeaseAnswer> {
    if (this.#refused) return this.#refused;
    if (this.#absent && identity === undefined) return refused('absent', undefined, identity);
    if (identity && identity.epoch === this.#newest?.epoch && identity.generation < this.#newest.generation) {
      return refused('older', String(this.#newest.generation), identity);
    }
    const [kind, detail, more] = await this.#redis.parleyLease(
      ...this.#keys,
      this.#holder,
      LEASE_MS,
      action,
      identity?.databaseId ?? '',
      identity?.epoch ?? '',
      identity?.generation ?? '',
    );
    if (kind === 'held') return { kind };
    if (kind === 'taken') return { kind, holder: detail ?? '?' };
    const answer = refused(detail, more, identity);
    // On a shared volume the file may appear, or have grown since it was read here: those refusals may pass.
    if (detail === 'absent') this.#absent = true;
    else if (detail === 'older' && identity)
      this.#newest = { epoch: identity.epoch, generation: Number(more) };
    else this.#refused = answer;
    return answer;
  }
}

function refused(
  detail: string | undefined,
  more: string | undefined,
  identity: DatabaseIdentity | undefined,
): LeaseAnswer {
  switch (detail) {
    case 'absent':
      return { kind: 'refused', reason: 'the cluster has a database already, and this node has none' };
    case 'other':
      return {
        kind: 'refused',
        reason: `the cluster's database is ${more}, this node's is ${identity?.databaseId}`,
      };
    default:
      return {
        kind: 'refused',
        reason: `this node's copy of the database is old (generation ${identity?.generation}, the cluster is at ${more})`,
      };
  }
}
