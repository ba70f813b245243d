import type { LogEntry, Position, Publication } from '../../core/bus.ts';
import type { OnUnreadable } from '../listeners.ts';
import { IpcBroker } from './broker.ts';
import { IpcBus } from './ipc-bus.ts';
import type { BrokerItem, BusItem, Link } from './items.ts';
import { localLink } from './local-link.ts';

/** The writer's bus without Redis, with the broker that all gateways have a link to. */
export class WriterBus extends IpcBus {
  readonly #broker: IpcBroker;

  constructor(onUnreadable: OnUnreadable = () => {}) {
    const broker = new IpcBroker();
    const [mine, brokers] = localLink<BusItem, BrokerItem>();
    broker.attach(brokers);
    super(mine, onUnreadable);
    this.#broker = broker;
  }

  /** Adds a gateway. Call the returned function when its link has ended. */
  attach(link: Link<BrokerItem, BusItem>): () => void {
    return this.#broker.attach(link);
  }

  /** Sends at once: otherwise, the next commit would hold it up. */
  override async publish(publications: readonly Publication[]): Promise<void> {
    await super.publish(publications);
    this.#flush();
  }

  override async read(
    after: Position | undefined,
    limit: number,
    waitMs: number,
  ): Promise<readonly LogEntry[]> {
    const entries = super.read(after, limit, waitMs);
    this.#flush();
    return entries;
  }

  override async close(): Promise<void> {
    await super.close();
    this.#broker.flush();
  }

  #flush(): void {
    this.flush();
    this.#broker.flush();
  }
}
