import type { Bus, LogEntry, Position, Publication } from '../../core/bus.ts';
import type { OnUnreadable } from '../listeners.ts';
import { IpcBus } from './ipc-bus.ts';
import type { BrokerItem, BusItem, Link } from './items.ts';

/**
 * A gateway's bus without Redis. Requests go to the readers through the primary's broker. The log and the publications are at the
 * broker in the writer's process, over a link that ends with the writer: the next one begins with an empty log and knows no
 * subscriptions.
 */
export class GatewayBus implements Bus {
  protected readonly primary: IpcBus;
  readonly #onUnreadable: OnUnreadable;
  readonly #listeners = new Map<string, (payload: string) => void>();
  readonly #gapListeners: (() => void)[] = [];
  #writer: IpcBus | undefined;
  #closed = false;

  /** @param primary a link to the primary's broker */
  constructor(primary: Link<BusItem, BrokerItem>, onUnreadable: OnUnreadable = () => {}) {
    this.primary = new IpcBus(primary, onUnreadable);
    this.#onUnreadable = onUnreadable;
  }

  /**
   * Goes over to the broker of a writer.
   * @returns to be called when the link has ended
   */
  join(link: Link<BusItem, BrokerItem>): () => void {
    this.#writer?.abandon();
    const writer = new IpcBus(link, this.#onUnreadable);
    this.#writer = this.#closed ? undefined : writer;
    void this.#takeAlong(writer);
    return () => {
      writer.abandon();
      if (this.#writer === writer) this.#writer = undefined;
    };
  }

  /** Makes the subscriptions anew. What was published or appended meanwhile is missing. */
  async #takeAlong(writer: IpcBus): Promise<void> {
    const subscriptions = [...this.#listeners].map(([channel, listener]) =>
      writer.subscribe(channel, listener),
    );
    await Promise.allSettled(subscriptions);
    if (this.#writer === writer) for (const listener of this.#gapListeners) listener();
  }

  async publish(publications: readonly Publication[]): Promise<void> {
    await this.#there().publish(publications);
  }

  /** Without a writer, nobody publishes. The next one hears of the subscription before anything that it publishes counts. */
  async subscribe(channel: string, listener: (payload: string) => void): Promise<void> {
    this.#listeners.set(channel, listener);
    await this.#writer?.subscribe(channel, listener).catch(() => {});
  }

  unsubscribe(channel: string): void {
    this.#listeners.delete(channel);
    this.#writer?.unsubscribe(channel);
  }

  onGap(listener: () => void): void {
    this.#gapListeners.push(listener);
  }

  async append(payload: string): Promise<void> {
    await this.#there().append(payload);
  }

  async read(after: Position | undefined, limit: number, waitMs: number): Promise<readonly LogEntry[]> {
    return this.#there().read(after, limit, waitMs);
  }

  async trim(position: Position): Promise<void> {
    await this.#there().trim(position);
  }

  request(payload: string, timeoutMs: number): Promise<string> {
    return this.primary.request(payload, timeoutMs);
  }

  serve(handler: (payload: string) => string): Promise<void> {
    return this.primary.serve(handler);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.primary.close(), this.#writer?.close()]);
    this.#writer = undefined;
  }

  #there(): IpcBus {
    if (this.#writer === undefined) throw new Error('there is no writer');
    return this.#writer;
  }
}
