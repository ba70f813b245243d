import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Cluster } from 'ioredis';
import { sleep } from '../../base/clock.ts';
import type { RedisTarget } from '../../config/redis-url.ts';
import { type Bus, type LogEntry, type Position, type Publication, RequestTimeout } from '../../core/bus.ts';
import { Listeners, type OnUnreadable } from '../listeners.ts';
import { RedisClock } from './clock.ts';
import { keyPrefix, type RedisClient, RedisConnections } from './connection.ts';
import { PlainPubSub } from './plain-pubsub.ts';
import type { PubSubListener, RedisPubSub } from './pubsub.ts';
import { ShardedPubSub } from './sharded-pubsub.ts';

/**
 * Limits on concurrent publications, in calls and in UTF-16 units of text. Without them, publications would fill the memory while
 * Redis is away. A writer's biggest batch is half of the second.
 */
const PUBLISHING_MAX = 2_000;
const PUBLISHING_UNITS_MAX = 64 * 1024 * 1024;
/** Entries that the log keeps if nobody reads it, and requests if nobody serves them. Gateways repeat what was cut off. */
const LOG_MAX = 1_000_000;
const REQUESTS_MAX = 20_000;
const REQUESTS_AT_ONCE = 32;
/** How long Redis delays its answer while there are no requests, in seconds; and the pause after a failure, in milliseconds. */
const POP_WAIT_S = 1;
const POP_AGAIN_MS = 100;
/** A request is still answered this long after its deadline, in milliseconds, since Redis's clock is known no better. */
const REQUEST_GRACE_MS = 1_000;
/** A server publishes the answers that are ready, and yields to other work, at least this often, in milliseconds. */
const SERVE_SLICE_MS = 20;
/** Stands for a deadline while the time is unknown. */
const NO_DEADLINE = 0;
/** When closing, how long to wait for the last answers to be served, and for the answer to QUIT, in milliseconds. */
const QUIT_MS = 500;

type Pending = { resolve(payload: string): void; reject(error: Error): void };

/** The bus over Redis: streams for the log, pub/sub for publications and answers, a list for requests. */
export class RedisBus implements Bus {
  readonly #prefix: string;
  readonly #connections: RedisConnections;
  readonly #commands: RedisClient;
  readonly #clock: RedisClock;
  readonly #pubSub: RedisPubSub;
  readonly #listeners: Listeners;
  readonly #gapListeners: (() => void)[] = [];
  readonly #pending = new Map<string, Pending>();
  readonly #answers: string;
  #wanted: { channel: string; resolve(): void; reject(error: Error): void }[] = [];
  /** By request id. A request that is given up meanwhile is not sent. */
  readonly #unsent = new Map<string, string>();
  #sending = false;
  #answering: Promise<void> = Promise.resolve();
  /** The connection that requests are taken from, and what settles when no more are. */
  #queue: RedisClient | undefined;
  #serving: Promise<void> = Promise.resolve();
  #publishing = 0;
  #publishingUnits = 0;
  #answersReady: Promise<void> | undefined;
  #reader: RedisClient | undefined;
  #lostPosition: Position | undefined;
  #nextRequest = 1;
  #closed = false;
  /** Nothing is served any more. */
  #over = false;

  constructor(target: RedisTarget, name: string, onUnreadable: OnUnreadable = () => {}) {
    this.#listeners = new Listeners(onUnreadable);
    this.#prefix = keyPrefix(target);
    this.#answers = `answers:${randomUUID()}`;
    this.#connections = new RedisConnections(target, name);
    this.#commands = this.#connections.open('commands');
    this.#clock = new RedisClock(this.#commands);
    const listener: PubSubListener = {
      message: (channel, payload) => this.#listeners.call(channel.slice(this.#prefix.length), payload),
      gap: () => {
        for (const listener of this.#gapListeners) listener();
      },
    };
    // In a cluster, plain pub/sub would send everything to every node.
    this.#pubSub =
      this.#commands instanceof Cluster
        ? new ShardedPubSub(this.#connections, this.#commands, listener)
        : new PlainPubSub(this.#connections, this.#commands, listener);
  }

  /** The connection for commands. Others use it for more state in the same Redis. */
  get redis(): RedisClient {
    return this.#commands;
  }

  /** Why Redis does not do what it is asked; undefined if it does. */
  get trouble(): string | undefined {
    return this.#connections.trouble;
  }

  /** How far this process's clock is ahead of Redis's, in milliseconds; 0 until Redis's is known. */
  get clockAheadMs(): number {
    const ahead = Date.now() - (this.#clock.now() ?? Date.now());
    // This machine may just have slept.
    if (Math.abs(ahead) > REQUEST_GRACE_MS) void this.#clock.doubt();
    return ahead;
  }

  async publish(publications: readonly Publication[]): Promise<void> {
    if (this.#publishing >= PUBLISHING_MAX || this.#publishingUnits >= PUBLISHING_UNITS_MAX)
      throw new Error('too many publications are under way');
    const units = publications.reduce((sum, { payload }) => sum + payload.length, 0);
    this.#publishing++;
    this.#publishingUnits += units;
    try {
      await this.#pubSub.publish(
        publications.map(({ channel, payload }) => ({ channel: this.#key(channel), payload })),
      );
    } finally {
      this.#publishing--;
      this.#publishingUnits -= units;
    }
  }

  subscribe(channel: string, listener: (payload: string) => void): Promise<void> {
    this.#listeners.set(channel, listener);
    return new Promise((resolve, reject) => {
      if (this.#wanted.length === 0) setImmediate(() => this.#flushSubscribes());
      this.#wanted.push({ channel, resolve, reject });
    });
  }

  /** Subscriptions made in the same turn of the event loop share one call. */
  #flushSubscribes(): void {
    const wanted = this.#wanted.splice(0);
    // A channel that was left again in the same turn gets no subscription.
    const kept = wanted.filter(({ channel }) => this.#listeners.has(channel));
    const inForce = this.#pubSub.subscribe(kept.map(({ channel }) => this.#key(channel)));
    for (const [i, { resolve, reject }] of kept.entries()) inForce[i]?.then(resolve, reject);
    for (const { channel, resolve } of wanted) if (!this.#listeners.has(channel)) resolve();
  }

  unsubscribe(channel: string): void {
    this.#listeners.delete(channel);
    this.#pubSub.unsubscribe(this.#key(channel));
  }

  onGap(listener: () => void): void {
    this.#gapListeners.push(listener);
  }

  async append(payload: string): Promise<void> {
    await this.#commands.xadd(this.#key('log'), 'MAXLEN', '~', LOG_MAX, '*', 'b', payload);
  }

  async read(after: Position | undefined, limit: number, waitMs: number): Promise<readonly LogEntry[]> {
    // The position is from the log of a node that had no Redis yet. This log is all new.
    if (after !== undefined && !STREAM_ID.test(after)) return this.read(undefined, limit, waitMs);
    this.#reader ??= this.#connections.open('log');
    const from = after === undefined || after === this.#lostPosition ? '0' : after;
    const answer = (await this.#reader.xread(
      'COUNT',
      limit,
      'BLOCK',
      waitMs,
      'STREAMS',
      this.#key('log'),
      from,
    )) as [key: string, entries: [id: string, fields: [string, string]][]][] | null;
    // Removed from the answer, which outlives its use (connection.ts).
    const entries = answer?.[0]?.[1].splice(0);
    if (entries !== undefined) return entries.map(([position, [, payload]]) => ({ position, payload }));
    if (after !== undefined && (await this.#newestPosition()) < streamOrder(after))
      this.#lostPosition = after;
    return [];
  }

  /**
   * The log's newest position; -1 if there is no log. If it is below what was already read, Redis has lost its data. New entries
   * may then stand below the old position, should the clock have gone back.
   */
  async #newestPosition(): Promise<bigint> {
    try {
      const info = (await this.#commands.xinfo('STREAM', this.#key('log'))) as unknown[];
      return streamOrder(String(info[info.indexOf('last-generated-id') + 1]));
    } catch (error) {
      if (error instanceof Error && /no such key/i.test(error.message)) return -1n;
      throw error;
    }
  }

  async trim(position: Position): Promise<void> {
    const [ms, seq] = position.split('-') as [string, string];
    await this.#commands.xtrim(this.#key('log'), 'MINID', `${ms}-${BigInt(seq) + 1n}`);
  }

  async request(payload: string, timeoutMs: number): Promise<string> {
    this.#answersReady ??= this.subscribe(this.#answers, (answer) => this.#answered(answer)).catch(
      (error: Error) => {
        this.#answersReady = undefined;
        throw error;
      },
    );
    const id = String(this.#nextRequest++);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#pending.set(id, { resolve, reject });
    const timer = setTimeout(() => {
      reject(new RequestTimeout(timeoutMs));
      // The server may have skipped the request because its clock differs.
      void this.#clock.doubt();
    }, timeoutMs);
    try {
      // Raced, because the time-out must also count while Redis is away.
      await Promise.race([this.#answersReady, promise]);
      if (this.#unsent.size === 0) setImmediate(() => this.#flushRequests());
      const now = this.#clock.now();
      const deadline = now === undefined ? NO_DEADLINE : Math.round(now) + timeoutMs;
      this.#unsent.set(id, `${id} ${this.#answers} ${deadline}\n${payload}`);
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#pending.delete(id);
      this.#unsent.delete(id);
    }
  }

  /** One call at a time. Requests that come meanwhile go with the next one. */
  #flushRequests(): void {
    if (this.#sending || this.#unsent.size === 0) return;
    this.#sending = true;
    const requests = [...this.#unsent.values()];
    this.#unsent.clear();
    this.#commands
      .rpush(this.#key('requests'), ...requests)
      .then((length) => {
        if (length > REQUESTS_MAX) return this.#commands.ltrim(this.#key('requests'), -REQUESTS_MAX, -1);
      })
      .catch(() => {}) // They time out and are repeated.
      .finally(() => {
        this.#sending = false;
        this.#flushRequests();
      });
  }

  #answered(answer: string): void {
    const end = answer.indexOf('\n');
    this.#pending.get(answer.slice(0, end))?.resolve(answer.slice(end + 1));
  }

  async serve(handler: (payload: string) => string): Promise<void> {
    const queue = this.#connections.open('requests');
    await queue.ping();
    await this.#clock.look();
    this.#queue = queue;
    this.#serving = this.#serveLoop(queue, handler);
  }

  async #serveLoop(queue: RedisClient, handler: (payload: string) => string): Promise<void> {
    while (!this.#closed) {
      try {
        const popped = await queue.blmpop(
          POP_WAIT_S,
          1,
          this.#key('requests'),
          'LEFT',
          'COUNT',
          REQUESTS_AT_ONCE,
        );
        let answers: Publication[] = [];
        let begun = performance.now();
        for (const request of popped?.[1] ?? []) {
          if (this.#over) return;
          const end = request.indexOf('\n');
          const [id, channel, deadline] = request.slice(0, end).split(' ') as [string, string, string];
          if (this.#isOver(Number(deadline))) {
            await this.#clock.doubt();
            if (this.#isOver(Number(deadline))) continue;
          }
          answers.push({ channel, payload: `${id}\n${handler(request.slice(end + 1))}` });
          if (performance.now() - begun < SERVE_SLICE_MS) continue;
          await this.#answer(answers);
          answers = [];
          await nextTurn();
          begun = performance.now();
        }
        await this.#answer(answers);
      } catch {
        if (!this.#closed) await sleep(POP_AGAIN_MS);
      }
    }
    await this.#answering;
  }

  /** Resolves when the previous answers are out. */
  async #answer(answers: readonly Publication[]): Promise<void> {
    if (answers.length === 0) return;
    await this.#answering;
    this.#answering = this.publish(answers).catch(() => {});
  }

  /** Whether the asker has given up. */
  #isOver(deadline: number): boolean {
    const now = this.#clock.now();
    return deadline !== NO_DEADLINE && now !== undefined && deadline + REQUEST_GRACE_MS < now;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#listeners.clear();
    this.#pubSub.close();
    // Requests that were taken are no other server's any more: unanswered, each would cost its asker a time-out.
    if (this.#queue) this.#connections.release(this.#queue);
    const quit = this.#serving.then(() => this.#commands.quit()).catch(() => {});
    await Promise.race([quit, sleep(QUIT_MS)]);
    this.#over = true;
    this.#connections.close();
  }

  #key(name: string): string {
    return this.#prefix + name;
  }
}

const STREAM_ID = /^\d+-\d+$/;

/** Stream ids (`ms-seq`) as numbers that compare as the stream orders them. */
function streamOrder(id: string): bigint {
  const [ms, seq] = id.split('-') as [string, string];
  return (BigInt(ms) << 64n) + BigInt(seq);
}
