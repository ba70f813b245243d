/* The messages between an IpcBus and its broker. `ref` matches an answer to its request within one worker. */

/** Publications as two parallel lists, of channels and payloads. Measured: they cost a third of a list of objects, at both ends. */
export type Publications = { readonly channels: readonly string[]; readonly payloads: readonly string[] };

export type BusItem =
  | ({ readonly do: 'publish' } & Publications)
  | { readonly do: 'subscribe'; readonly channel: string; readonly ref: number }
  | { readonly do: 'unsubscribe'; readonly channel: string }
  | { readonly do: 'append'; readonly payload: string; readonly ref: number }
  | {
      readonly do: 'read';
      readonly after?: string;
      readonly limit: number;
      readonly waitMs: number;
      readonly ref: number;
    }
  | { readonly do: 'trim'; readonly position: string }
  | { readonly do: 'request'; readonly payload: string; readonly timeoutMs: number; readonly ref: number }
  | { readonly do: 'serve'; readonly ref: number }
  | { readonly do: 'reply'; readonly request: number; readonly payload: string };

export type BrokerItem =
  | ({ readonly on: 'published' } & Publications)
  | { readonly on: 'done'; readonly ref: number }
  | { readonly on: 'failed'; readonly ref: number; readonly error: string }
  | {
      readonly on: 'entries';
      readonly ref: number;
      readonly entries: readonly { position: string; payload: string }[];
    }
  | { readonly on: 'answer'; readonly ref: number; readonly payload: string }
  | { readonly on: 'request'; readonly request: number; readonly payload: string };

/** One end of an ordered channel that carries copies, such as a worker's IPC channel or a socket. */
export interface Link<Out, In> {
  send(items: readonly Out[]): void;
  onItems(listener: (items: readonly In[]) => void): void;
}

/** An item that is not urgent, such as an answer that only sets a pace, waits this long for others to go with, in milliseconds. */
const COMPANY_MS = 5;

/** Collects items, and sends them as one message per turn of the event loop. A message costs 7–13 µs, an item under 1. */
export class ItemBatcher<Item> {
  readonly #send: (items: readonly Item[]) => void;
  #items: Item[] = [];
  #flushing = false;
  #waiting = false;

  constructor(send: (items: readonly Item[]) => void) {
    this.#send = send;
  }

  add(item: Item): void {
    this.#items.push(item);
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.flush();
    });
  }

  /** Sends the item with the next one that is added, or soon. A message of its own would wake the other end needlessly. */
  addWithNext(item: Item): void {
    this.#items.push(item);
    if (this.#waiting) return;
    this.#waiting = true;
    setTimeout(() => {
      this.#waiting = false;
      this.flush();
    }, COMPANY_MS);
  }

  flush(): void {
    if (this.#items.length === 0) return;
    const items = this.#items;
    this.#items = [];
    this.#send(items);
  }
}
