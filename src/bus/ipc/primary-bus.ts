import type { Publication } from '../../core/bus.ts';
import { GatewayBus } from './gateway-bus.ts';

/** The primary's own bus without Redis. It hears the writer, and what it publishes itself whether or not there is one. */
export class PrimaryBus extends GatewayBus {
  override async publish(publications: readonly Publication[]): Promise<void> {
    await this.primary.publish(publications);
  }

  override async subscribe(channel: string, listener: (payload: string) => void): Promise<void> {
    await Promise.all([this.primary.subscribe(channel, listener), super.subscribe(channel, listener)]);
  }

  override unsubscribe(channel: string): void {
    this.primary.unsubscribe(channel);
    super.unsubscribe(channel);
  }
}
