import { type Bus, type LogEntry, type Position, type Publication, RequestTimeout } from '../../core/bus.ts';
import { Listeners, type OnUnreadable } from '../listeners.ts';
import { type BrokerItem, type BusItem, ItemBatcher, type Link } from './items.ts';

type Pending = { resolve(value: never): void; reject(error: Error): void };

/** The bus within one node: a worker's end of a link to a broker. */
export class IpcBus implements Bus {
  readonly #out: ItemBatcher<BusItem>;
  readonly #listeners: Listeners;
  readonly #pending = new Map<number, Pending>();
  #handler: ((payload: string) => string) | undefined;
  #nextRef = 1;
  #closed = false;

  constructor(link: Link<BusItem, BrokerItem>, onUnreadable: OnUnreadable = () => {}) {
    this.#listeners = new Listeners(onUnreadable);
    this.#out = new ItemBatcher((items) => link.send(items));
    link.onItems((items) => {
      for (const item of items) if (!this.#closed) this.#handle(item);
    });
  }

  async publish(publications: readonly Publication[]): Promise<void> {
    if (publications.length === 0) return;
    this.#out.add({
      do: 'publish',
      channels: publications.map(({ channel }) => channel),
      payloads: publications.map(({ payload }) => payload),
    });
  }

  subscribe(channel: string, listener: (payload: string) => void): Promise<void> {
    this.#listeners.set(channel, listener);
    return this.#ask({ do: 'subscribe', channel, ref: this.#nextRef++ });
  }

  unsubscribe(channel: string): void {
    this.#listeners.delete(channel);
    this.#out.add({ do: 'unsubscribe', channel });
  }

  /** There are no gaps: a link loses nothing while both of its ends live. */
  onGap(): void {}

  append(payload: string): Promise<void> {
    const appended = this.#ask<void>({ do: 'append', payload, ref: this.#nextRef++ });
    // The payload is a batch already.
    this.flush();
    return appended;
  }

  read(after: Position | undefined, limit: number, waitMs: number): Promise<readonly LogEntry[]> {
    const ref = this.#nextRef++;
    return this.#ask({ do: 'read', ...(after !== undefined && { after }), limit, waitMs, ref });
  }

  async trim(position: Position): Promise<void> {
    this.#out.add({ do: 'trim', position });
  }

  request(payload: string, timeoutMs: number): Promise<string> {
    const ref = this.#nextRef++;
    const timer = setTimeout(() => this.#take(ref)?.reject(new RequestTimeout(timeoutMs)), timeoutMs);
    return this.#ask<string>({ do: 'request', payload, timeoutMs, ref }).finally(() => clearTimeout(timer));
  }

  serve(handler: (payload: string) => string): Promise<void> {
    this.#handler = handler;
    return this.#ask({ do: 'serve', ref: this.#nextRef++ });
  }

  /** Sends now what would be sent at the end of this turn of the event loop. */
  flush(): void {
    this.#out.flush();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.flush();
    this.#listeners.clear();
    this.#closed = true;
  }

  /** The link has ended. Rejects what has no answer yet, and delivers nothing any more. */
  abandon(): void {
    this.#listeners.clear();
    this.#closed = true;
    for (const { reject } of this.#pending.values()) reject(new Error('the link to the broker has ended'));
    this.#pending.clear();
  }

  #ask<T>(item: Extract<BusItem, { ref: number }>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#pending.set(item.ref, { resolve, reject });
      this.#out.add(item);
    });
  }

  #take(ref: number): Pending | undefined {
    const pending = this.#pending.get(ref);
    this.#pending.delete(ref);
    return pending;
  }

  #handle(item: BrokerItem): void {
    switch (item.on) {
      case 'published':
        for (let i = 0; i < item.channels.length; i++)
          this.#listeners.call(item.channels[i] as string, item.payloads[i] as string);
        return;
      case 'done':
        this.#take(item.ref)?.resolve(undefined as never);
        return;
      case 'failed':
        this.#take(item.ref)?.reject(new Error(item.error));
        return;
      case 'entries':
        this.#take(item.ref)?.resolve(item.entries as never);
        return;
      case 'answer':
        this.#take(item.ref)?.resolve(item.payload as never);
        return;
      case 'request':
        if (this.#handler)
          this.#out.add({ do: 'reply', request: item.request, payload: this.#handler(item.payload) });
        return;
    }
  }
}
