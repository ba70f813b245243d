import type { Service } from '../../base/life-cycle.ts';
import type { Setup } from './setup.ts';
import { StoreWriter } from './store-writer.ts';

/** Writes the database, or stands by to. */
export async function writerService({ order, log, bus, process: self }: Setup): Promise<Service> {
  const { config, node } = order;
  const { path } = config.database;
  const store = new StoreWriter(path, bus.bus, await bus.leaser(path, node), await bus.lock(path), log, {
    status: (status) => self.writer(status),
    leading: () => self.ready(),
    lost: (why) => self.exit(why),
  });
  self.report(store.metrics, () => ({ redis: bus.trouble }));
  self.onBackup((file) => store.backUp(file));
  return store;
}
