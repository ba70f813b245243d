import { randomUUID } from 'node:crypto';
import { type BrokerItem, type BusItem, ItemBatcher, type Link, type Publications } from './items.ts';

/**
 * Limits on the log's entries, on UTF-16 units of text in them, and on waiting requests. Beyond them, an entry is refused, and a
 * request is dropped.
 */
const LOG_MAX = 100_000;
const LOG_UNITS_MAX = 256 * 1024 * 1024;
const WAITING_MAX = 20_000;
/** A request that killed this many workers is not given to another: it may be the cause. */
const REQUEST_TRIES = 2;
/** Requests that one worker is given at once. It must have time for the primary's ping between them. */
const SERVED_AT_ONCE = 8;

type Member = {
  readonly out: ItemBatcher<BrokerItem>;
  /** The subscribers of a channel that has no other one, as most do. They share this list: one of their own costs 0.2 KB each. */
  readonly alone: readonly Member[];
  serves: boolean;
  /** Requests that it was given and has not answered. */
  serving: number;
};
type Request = {
  readonly from: Member;
  readonly ref: number;
  readonly payload: string;
  /** When the asker gives up, by the steady clock. */
  readonly until: number;
  server: Member | undefined;
  tries: number;
};
type Reader = {
  readonly member: Member;
  readonly ref: number;
  /** Number of the last entry that the reader has. */
  readonly after: number;
  readonly limit: number;
  readonly timer: NodeJS.Timeout;
  /** There is an entry for it. It is given all there are at the end of this turn of the event loop. */
  due: boolean;
};

/**
 * What a node's bus runs through. There are two: the primary's passes requests to readers, since unanswered ones outlive any
 * worker there. The log and the publications are at the writer's, in the writer's own process: a message takes two hops less, and
 * what a dead writer had not read is appended again by the gateways that wait for it.
 */
export class IpcBroker {
  readonly #incarnation = randomUUID().slice(0, 8);
  readonly #channels = new Map<string, readonly Member[]>();
  readonly #members = new Set<Member>();
  readonly #requests = new Map<number, Request>();
  readonly #waiting: number[] = [];
  readonly #log: string[] = [];
  #logUnits = 0;
  /** Number of the log's first entry. */
  #logStart = 1;
  /** Reads that wait for an entry. There is one writer, but a replaced one may still have to find that out. */
  readonly #readers = new Set<Reader>();
  #nextRequest = 1;

  /** Adds a worker. Call the returned function when it is gone. */
  attach(link: Link<BrokerItem, BusItem>): () => void {
    const alone: Member[] = [];
    const out = new ItemBatcher<BrokerItem>((items) => link.send(items));
    const member: Member = { out, alone, serves: false, serving: 0 };
    alone.push(member);
    this.#members.add(member);
    link.onItems((items) => {
      for (const item of items) this.#handle(member, item);
    });
    return () => this.#detach(member);
  }

  /** Sends what waits for company, or for the turn of the event loop to end. */
  flush(): void {
    for (const { out } of this.#members) out.flush();
  }

  #handle(member: Member, item: BusItem): void {
    switch (item.do) {
      case 'publish':
        this.#publish(item);
        return;
      case 'subscribe': {
        const others = this.#channels.get(item.channel)?.filter((other) => other !== member) ?? [];
        this.#channels.set(item.channel, others.length === 0 ? member.alone : [...others, member]);
        member.out.add({ on: 'done', ref: item.ref });
        return;
      }
      case 'unsubscribe':
        this.#leave(member, item.channel);
        return;
      case 'append':
        if (this.#log.length >= LOG_MAX || this.#logUnits + item.payload.length > LOG_UNITS_MAX) {
          member.out.add({ on: 'failed', ref: item.ref, error: 'the command log is full' });
          return;
        }
        this.#log.push(item.payload);
        this.#logUnits += item.payload.length;
        member.out.addWithNext({ on: 'done', ref: item.ref });
        for (const reader of this.#readers) this.#feed(reader);
        return;
      case 'read':
        this.#read(member, item);
        return;
      case 'trim': {
        const upTo = this.#numberOf(item.position);
        const count = Math.max(0, upTo - this.#logStart + 1);
        for (const entry of this.#log.splice(0, count)) this.#logUnits -= entry.length;
        this.#logStart += count;
        return;
      }
      case 'request': {
        if (this.#waiting.length >= WAITING_MAX) return;
        const id = this.#nextRequest++;
        this.#requests.set(id, {
          from: member,
          ref: item.ref,
          payload: item.payload,
          until: performance.now() + item.timeoutMs,
          server: undefined,
          tries: 0,
        });
        this.#waiting.push(id);
        this.#dispatch();
        return;
      }
      case 'serve':
        member.serves = true;
        member.out.add({ on: 'done', ref: item.ref });
        this.#dispatch();
        return;
      case 'reply': {
        const request = this.#requests.get(item.request);
        this.#requests.delete(item.request);
        member.serving--;
        request?.from.out.add({ on: 'answer', ref: request.ref, payload: item.payload });
        this.#dispatch();
        return;
      }
    }
  }

  #publish({ channels, payloads }: Publications): void {
    const shares = new Map<Member, { channels: string[]; payloads: string[] }>();
    channels.forEach((channel, i) => {
      for (const subscriber of this.#channels.get(channel) ?? []) {
        let share = shares.get(subscriber);
        if (share === undefined) {
          share = { channels: [], payloads: [] };
          shares.set(subscriber, share);
        }
        share.channels.push(channel);
        share.payloads.push(payloads[i] as string);
      }
    });
    for (const [subscriber, share] of shares) subscriber.out.add({ on: 'published', ...share });
  }

  #read(member: Member, item: Extract<BusItem, { do: 'read' }>): void {
    // A position from an earlier writer's log says nothing about this log: every entry is new.
    const after = item.after === undefined ? 0 : this.#numberOf(item.after);
    const timer = setTimeout(() => this.#answer(reader), item.waitMs);
    const reader: Reader = { member, ref: item.ref, after, limit: item.limit, timer, due: false };
    this.#readers.add(reader);
    this.#feed(reader);
  }

  #feed(reader: Reader): void {
    if (reader.due || this.#indexAfter(reader.after) >= this.#log.length) return;
    reader.due = true;
    setImmediate(() => {
      if (this.#readers.has(reader)) this.#answer(reader);
    });
  }

  #entries({ after, limit }: Reader): { position: string; payload: string }[] {
    const from = this.#indexAfter(after);
    return this.#log.slice(from, from + limit).map((payload, i) => ({
      position: `${this.#incarnation}-${this.#logStart + from + i}`,
      payload,
    }));
  }

  #indexAfter(number: number): number {
    return Math.max(0, number - this.#logStart + 1);
  }

  /** With what there is: its time may be over in the turn in which an entry came. */
  #answer(reader: Reader): void {
    this.#forget(reader);
    reader.member.out.add({ on: 'entries', ref: reader.ref, entries: this.#entries(reader) });
    reader.member.out.flush();
  }

  #forget(reader: Reader): void {
    clearTimeout(reader.timer);
    this.#readers.delete(reader);
  }

  #numberOf(position: string): number {
    const [incarnation, number] = position.split('-');
    return incarnation === this.#incarnation ? Number(number) : 0;
  }

  /** Gives waiting requests to the least busy servers. Drops those whose asker has given up. */
  #dispatch(): void {
    while (this.#waiting.length > 0) {
      const id = this.#waiting[0] as number;
      const request = this.#requests.get(id);
      if (request !== undefined && request.until > performance.now() && request.tries < REQUEST_TRIES) {
        const server = this.#leastBusy();
        if (server === undefined) return;
        server.serving++;
        server.out.add({ on: 'request', request: id, payload: request.payload });
        request.server = server;
        request.tries++;
      } else this.#requests.delete(id);
      this.#waiting.shift();
    }
  }

  #leastBusy(): Member | undefined {
    let least: Member | undefined;
    for (const member of this.#members) {
      if (member.serves && member.serving < (least?.serving ?? SERVED_AT_ONCE)) least = member;
    }
    return least;
  }

  #leave(member: Member, channel: string): void {
    const subscribers = this.#channels.get(channel);
    if (!subscribers?.includes(member)) return;
    const others = subscribers.filter((other) => other !== member);
    if (others.length === 0) this.#channels.delete(channel);
    else this.#channels.set(channel, others);
  }

  #detach(member: Member): void {
    this.#members.delete(member);
    for (const channel of this.#channels.keys()) this.#leave(member, channel);
    for (const reader of this.#readers) if (reader.member === member) this.#forget(reader);
    for (const [id, request] of this.#requests) {
      if (request.from === member) this.#requests.delete(id);
      // Queries are read-only, so another worker may be given what a dead one was asked.
      else if (request.server === member) {
        request.server = undefined;
        this.#waiting.push(id);
      }
    }
    this.#dispatch();
  }
}
