import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { sleep } from '../base/clock.ts';
import { type Bus, type LogEntry, type Position, type Publication, RequestTimeout } from '../core/bus.ts';
import { connectRedis, keyPrefix, watchConnection } from './redis-connection.ts';

/** One call publishes a whole batch: 3–5 µs each, against 8 for a PUBLISH of its own. */
const PUBLISH_SCRIPT = `for i = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[i], ARGV[i + 1]) end`;
/** Publications in one call of the script: Redis serves nobody else meanwhile. */
const PUBLISH_MAX = 500;
/** Entries the log keeps if nobody reads it, and requests if nobody serves them. Gateways ask again for what was cut off. */
const LOG_MAX = 1_000_000;
const REQUESTS_MAX = 20_000;
const REQUESTS_AT_ONCE = 32;
const SUBSCRIBE_MAX = 1_000;

type PublishCommand = { parleyPublish(...args: string[]): Promise<unknown> };
type Pending = { resolve(payload: string): void; reject(error: Error): void };

/** The bus over Redis: streams for the log, pub/sub for publications and answers, a list for requests. */
export class RedisBus implements Bus {
  readonly #url: string;
  readonly #prefix: string;
  readonly #name: string;
  readonly #commands: Redis & PublishCommand;
  readonly #subscriber: Redis;
  readonly #blocking: Redis[] = [];
  readonly #unwatch: (() => void)[] = [];
  readonly #listeners = new Map<string, (payload: string) => void>();
  readonly #gapListeners: (() => void)[] = [];
  readonly #pending = new Map<string, Pending>();
  readonly #answers: string;
  #wanted: { channel: string; resolve(): void; reject(error: Error): void }[] = [];
  #requests: string[] = [];
  #answersReady: Promise<void> | undefined;
  #reader: Redis | undefined;
  #lostPosition: Position | undefined;
  #nextRequest = 1;
  #closed = false;

  constructor(url: string, name: string) {
    this.#url = url;
    this.#prefix = keyPrefix(url);
    this.#name = name;
    this.#answers = `answers:${randomUUID()}`;
    const commands = this.#connect('commands');
    commands.defineCommand('parleyPublish', { numberOfKeys: 0, lua: PUBLISH_SCRIPT });
    this.#commands = commands as Redis & PublishCommand;
    this.#subscriber = this.#connect('subscriber');
    this.#subscriber.on('message', (channel: string, payload: string) => {
      this.#listeners.get(channel.slice(this.#prefix.length))?.(payload);
    });
    let first = true;
    this.#subscriber.on('ready', () => {
      if (first) first = false;
      else void this.#resubscribe();
    });
  }

  /** The connection for commands, for those who keep other state in the same Redis. */
  get redis(): Redis {
    return this.#commands;
  }

  async publish(publications: readonly Publication[]): Promise<void> {
    const calls: Promise<unknown>[] = [];
    for (let start = 0; start < publications.length; start += PUBLISH_MAX) {
      const args: string[] = [];
      for (const { channel, payload } of publications.slice(start, start + PUBLISH_MAX)) {
        args.push(this.#prefix + channel, payload);
      }
      calls.push(this.#commands.parleyPublish(...args));
    }
    await Promise.all(calls);
  }

  subscribe(channel: string, listener: (payload: string) => void): Promise<void> {
    this.#listeners.set(channel, listener);
    return new Promise((resolve, reject) => {
      if (this.#wanted.length === 0) setImmediate(() => this.#flushSubscribes());
      this.#wanted.push({ channel, resolve, reject });
    });
  }

  /** Those who subscribe in the same turn share one command. */
  #flushSubscribes(): void {
    while (this.#wanted.length > 0) {
      const some = this.#wanted.splice(0, SUBSCRIBE_MAX);
      const channels = some.map(({ channel }) => channel).filter((channel) => this.#listeners.has(channel));
      const subscribed =
        channels.length === 0
          ? Promise.resolve()
          : this.#subscriber.subscribe(...channels.map((channel) => this.#prefix + channel));
      subscribed.then(
        () => {
          for (const { resolve } of some) resolve();
        },
        (error: Error) => {
          for (const { reject } of some) reject(error);
        },
      );
    }
  }

  unsubscribe(channel: string): void {
    this.#listeners.delete(channel);
    this.#subscriber.unsubscribe(this.#prefix + channel).catch(() => {});
  }

  onGap(listener: () => void): void {
    this.#gapListeners.push(listener);
  }

  async #resubscribe(): Promise<void> {
    const channels = [...this.#listeners.keys()].map((channel) => this.#prefix + channel);
    try {
      for (let start = 0; start < channels.length; start += SUBSCRIBE_MAX) {
        await this.#subscriber.subscribe(...channels.slice(start, start + SUBSCRIBE_MAX));
      }
    } catch {
      return; // The connection was lost again; the next 'ready' does it all once more.
    }
    for (const listener of this.#gapListeners) listener();
  }

  async append(payload: string): Promise<void> {
    await this.#commands.xadd(this.#key('log'), 'MAXLEN', '~', LOG_MAX, '*', 'b', payload);
  }

  async read(after: Position | undefined, limit: number, waitMs: number): Promise<readonly LogEntry[]> {
    this.#reader ??= this.#connect('log');
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
    const entries = answer?.[0]?.[1];
    if (entries !== undefined) return entries.map(([position, [, payload]]) => ({ position, payload }));
    if (after !== undefined && (await this.#newestPosition()) < streamOrder(after))
      this.#lostPosition = after;
    return [];
  }

  /**
   * The log's newest position, -1 if there is no log. Below what was read already: Redis lost its data, and perhaps the
   * clock went back, so that new entries would stand below the old position.
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
    this.#answersReady ??= this.subscribe(this.#answers, (answer) => this.#answered(answer));
    const id = String(this.#nextRequest++);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#pending.set(id, { resolve, reject });
    const timer = setTimeout(() => reject(new RequestTimeout(timeoutMs)), timeoutMs);
    try {
      // Not an await alone: the time-out counts while Redis is away, too.
      await Promise.race([this.#answersReady, promise]);
      if (this.#requests.length === 0) setImmediate(() => this.#flushRequests());
      this.#requests.push(`${id} ${this.#answers} ${Date.now() + timeoutMs}\n${payload}`);
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#pending.delete(id);
    }
  }

  #flushRequests(): void {
    const requests = this.#requests;
    this.#requests = [];
    this.#commands
      .rpush(this.#key('requests'), ...requests)
      .then((length) => {
        if (length > REQUESTS_MAX) return this.#commands.ltrim(this.#key('requests'), -REQUESTS_MAX, -1);
      })
      .catch(() => {}); // They time out and are asked again.
  }

  #answered(answer: string): void {
    const end = answer.indexOf('\n');
    this.#pending.get(answer.slice(0, end))?.resolve(answer.slice(end + 1));
  }

  async serve(handler: (payload: string) => string): Promise<void> {
    const queue = this.#connect('requests');
    await queue.ping();
    void this.#serveLoop(queue, handler);
  }

  async #serveLoop(queue: Redis, handler: (payload: string) => string): Promise<void> {
    while (!this.#closed) {
      try {
        const popped = await queue.blmpop(1, 1, this.#key('requests'), 'LEFT', 'COUNT', REQUESTS_AT_ONCE);
        const answers: Publication[] = [];
        for (const request of popped?.[1] ?? []) {
          const end = request.indexOf('\n');
          const [id, channel, deadline] = request.slice(0, end).split(' ') as [string, string, string];
          // Whoever asked has given up long ago. A minute of grace, since clocks of machines differ.
          if (Number(deadline) + 60_000 < Date.now()) continue;
          answers.push({ channel, payload: `${id}\n${handler(request.slice(end + 1))}` });
        }
        if (answers.length > 0) void this.publish(answers).catch(() => {});
      } catch {
        if (!this.#closed) await sleep(100);
      }
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#listeners.clear();
    for (const unwatch of this.#unwatch) unwatch();
    await Promise.race([this.#commands.quit().catch(() => {}), sleep(500)]);
    for (const redis of [this.#commands, this.#subscriber, ...this.#blocking]) redis.disconnect();
  }

  #key(name: string): string {
    return this.#prefix + name;
  }

  #connect(purpose: string): Redis {
    const redis = connectRedis(this.#url, `parley:${this.#name}:${purpose}`);
    this.#unwatch.push(watchConnection(redis));
    if (purpose === 'log' || purpose === 'requests') this.#blocking.push(redis);
    return redis;
  }
}

/** Stream ids (`ms-seq`) as numbers that compare as the stream orders them. */
function streamOrder(id: string): bigint {
  const [ms, seq] = id.split('-') as [string, string];
  return (BigInt(ms) << 64n) + BigInt(seq);
}
