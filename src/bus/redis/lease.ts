import type { DatabaseIdentity, LeaseAnswer, Leaser } from '../../core/lease.ts';
import type { RedisClient } from './connection.ts';

/** Lifetime of a lease that is not renewed, in milliseconds. A dead node's writer is replaced after it. */
export const LEASE_MS = 2_000;

/**
 * A Redis that knows no database may have lost its data. A live writer restores that knowledge when it renews, every 500 ms. Only
 * after this much silence, in milliseconds, does a store take the cluster for a new one. It delays a cluster's very first start.
 * One case remains: a writer that stands still for all of it, just when Redis loses its data, may find another in its place. If
 * that one has a foreign database, the fence can't help, since it is in the writer's own file.
 */
const QUIET_MS = 1_200;

/*
 * KEYS: lease, database. ARGV: holder, lease ms, 'acquire' | 'begin' | 'renew', database id, epoch, generation, transactions (the
 * last four are '' while there is no file).
 *
 * The database key remembers for good which database the cluster has, and how far its writers have got. A store with another
 * database, or with an old copy, is refused. So is one with an epoch that a restore has ended, or with an epoch other than the
 * one being written: two histories would take turns, in writing and in answers. The script may run when Redis is full (allow-oom,
 * which has to be at its very beginning): it needs hardly any memory, the lease's holder trims the log, and a full Redis must not
 * keep every writer away.
 */
const LEASE_SCRIPT = `#!lua flags=allow-oom
local holder = redis.call('GET', KEYS[1])
local known = redis.call('HMGET', KEYS[2], 'id', 'epoch', 'generation', 'transactions')
if known[1] then
  if ARGV[4] == '' then return {'absent'} end
  if known[1] ~= ARGV[4] then return {'other', known[1]} end
  local written = holder and holder ~= ARGV[1] and known[2] ~= ARGV[5]
  if written or redis.call('HEXISTS', KEYS[2], 'ended:' .. ARGV[5]) == 1 then return {'epoch', known[2]} end
  local ahead = known[2] == ARGV[5] and tonumber(known[3]) - tonumber(ARGV[6]) or -1
  if ahead > 0 or ahead == 0 and tonumber(known[4] or 0) > tonumber(ARGV[7]) then
    return {'older', known[3], known[4] or '0'}
  end
elseif ARGV[3] == 'acquire' and holder ~= ARGV[1] or ARGV[3] == 'begin' and holder then
  return {'unknown', holder or ''}
end
if holder and holder ~= ARGV[1] then return {'taken', holder} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if ARGV[3] == 'renew' then
  if known[2] and known[2] ~= ARGV[5] then redis.call('HSET', KEYS[2], 'ended:' .. known[2], 1) end
  redis.call('HSET', KEYS[2], 'id', ARGV[4], 'epoch', ARGV[5], 'generation', ARGV[6], 'transactions', ARGV[7])
end
return {'held'}
`;
const RELEASE_SCRIPT = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end`;

type LeaseCommands = {
  parleyLease(...args: (string | number)[]): Promise<string[]>;
  parleyRelease(...args: string[]): Promise<unknown>;
};

/** How far a database has got. */
type State = Pick<DatabaseIdentity, 'epoch' | 'generation' | 'transactions'>;

/** A cluster's writer lease, in Redis. `holder` names the node, so that the node's next writer need not wait. */
export class RedisLeaser implements Leaser {
  readonly #redis: RedisClient & LeaseCommands;
  readonly #keys: readonly [lease: string, database: string];
  readonly #holder: string;
  /**
   * Set when the cluster was found to have another database than this store. Such a store never begins a cluster, whatever Redis
   * forgets.
   */
  #refused: { readonly databaseId: string | undefined; readonly answer: LeaseAnswer } | undefined;
  /** The newest state of the database ever reported. It is kept for the same reason. */
  #newest: State | undefined;
  /** Since when Redis has known neither a database nor a holder, by the steady clock. */
  #quietSince: number | undefined;

  constructor(redis: RedisClient, prefix: string, holder: string) {
    redis.defineCommand('parleyLease', { numberOfKeys: 2, lua: LEASE_SCRIPT });
    redis.defineCommand('parleyRelease', { numberOfKeys: 1, lua: RELEASE_SCRIPT });
    this.#redis = redis as RedisClient & LeaseCommands;
    // Both keys share a hash slot, so that the script runs on Redis Cluster too.
    this.#keys = [`{${prefix}writer}`, `{${prefix}writer}:database`];
    this.#holder = holder;
  }

  acquire(identity: DatabaseIdentity | undefined): Promise<LeaseAnswer> {
    const quiet = this.#quietSince !== undefined && performance.now() - this.#quietSince >= QUIET_MS;
    return this.#lease(quiet && !this.#wasRefused(identity) ? 'begin' : 'acquire', identity);
  }

  renew(identity: DatabaseIdentity): Promise<LeaseAnswer> {
    return this.#lease('renew', identity);
  }

  async release(): Promise<void> {
    await this.#redis.parleyRelease(this.#keys[0], this.#holder);
  }

  async #lease(
    action: 'acquire' | 'begin' | 'renew',
    identity: DatabaseIdentity | undefined,
  ): Promise<LeaseAnswer> {
    if (identity && this.#newest && isBehind(identity, this.#newest)) return older(identity, this.#newest);
    const [kind, detail, more] = await this.#redis.parleyLease(
      ...this.#keys,
      this.#holder,
      LEASE_MS,
      action,
      identity?.databaseId ?? '',
      identity?.epoch ?? '',
      identity?.generation ?? '',
      identity?.transactions ?? '',
    );
    this.#quietSince =
      kind === 'unknown' && detail === '' ? (this.#quietSince ?? performance.now()) : undefined;
    switch (kind) {
      case 'held':
      case 'taken':
        this.#refused = undefined;
        return kind === 'held' ? { kind } : { kind, holder: detail ?? '?' };
      case 'older':
        // The file may have grown since it was read. A shared file holds the reported state by now, since that was committed before.
        if (identity)
          this.#newest = { epoch: identity.epoch, generation: Number(detail), transactions: Number(more) };
        return { kind: 'undecided' };
      case 'unknown':
        return this.#refused && this.#wasRefused(identity) ? this.#refused.answer : { kind: 'undecided' };
      default: {
        const answer = refused(
          kind === 'absent'
            ? 'the cluster has a database already, and this node has none'
            : kind === 'epoch'
              ? `the cluster's database is of epoch ${detail}, this node's of ${identity?.epoch}: a restore is between them`
              : `the cluster's database is ${detail}, this node's is ${identity?.databaseId}`,
        );
        this.#refused = { databaseId: identity?.databaseId, answer };
        return answer;
      }
    }
  }

  #wasRefused(identity: DatabaseIdentity | undefined): boolean {
    return this.#refused !== undefined && this.#refused.databaseId === identity?.databaseId;
  }
}

const isBehind = (one: State, other: State): boolean =>
  one.epoch === other.epoch &&
  (one.generation < other.generation ||
    (one.generation === other.generation && one.transactions < other.transactions));

const refused = (reason: string): LeaseAnswer => ({ kind: 'refused', reason });

const older = (mine: State, newest: State): LeaseAnswer =>
  refused(
    `this node's copy of the database is old (generation ${mine.generation}, transaction ${mine.transactions}; the cluster is at ${newest.generation}, ${newest.transactions})`,
  );
