import type { Service } from '../../base/life-cycle.ts';
import type { Setup } from './setup.ts';
import { StoreWriter } from './store-writer.ts';

/** Writes the database, or stands by to. */
export function writerService({ order, log, bus, process: self }: Setup): Service {
  const { config, node } = order;
  const { path } = config.database;
  const store = new StoreWriter(path, bus.bus, bus.leaser(path, node), bus.lock(path), log, {
    status: (status) => self.writer(status),
    leading: () => self.ready(),
    lost: (why) => self.exit(why),
  });
  self.report(store.metrics, () => ({ redis: bus.trouble }));
  self.onBackup((file) => store.backUp(file));
  return store;
}
