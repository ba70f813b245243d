/*
 * What an IpcBus and its broker say to each other. `ref` ties an answer to its question within one worker.
 */

export type BusItem =
  | { readonly do: 'publish'; readonly channel: string; readonly payload: string }
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
  | { readonly do: 'request'; readonly payload: string; readonly ref: number }
  | { readonly do: 'serve'; readonly ref: number }
  | { readonly do: 'reply'; readonly request: number; readonly payload: string };

export type BrokerItem =
  | { readonly on: 'published'; readonly channel: string; readonly payload: string }
  | { readonly on: 'done'; readonly ref: number }
  | { readonly on: 'failed'; readonly ref: number; readonly error: string }
  | {
      readonly on: 'entries';
      readonly ref: number;
      readonly entries: readonly { position: string; payload: string }[];
    }
  | { readonly on: 'answer'; readonly ref: number; readonly payload: string }
  | { readonly on: 'request'; readonly request: number; readonly payload: string };

/** One end of a channel that keeps order and carries copies, such as a worker's IPC channel or a MessagePort. */
export interface Link<Out, In> {
  send(items: readonly Out[]): void;
  onItems(listener: (items: readonly In[]) => void): void;
}

/** Collects items and sends them as one message per turn of the event loop: a message costs 7–13 µs, an item under 1. */
export class ItemBatcher<Item> {
  readonly #send: (items: readonly Item[]) => void;
  #items: Item[] = [];

  constructor(send: (items: readonly Item[]) => void) {
    this.#send = send;
  }

  add(item: Item): void {
    if (this.#items.length === 0) setImmediate(() => this.flush());
    this.#items.push(item);
  }

  flush(): void {
    if (this.#items.length === 0) return;
    const items = this.#items;
    this.#items = [];
    this.#send(items);
  }
}
