import type { Service } from '../../base/life-cycle.ts';
import type { WriterStatus } from '../../cluster/messages.ts';
import type { Setup } from './setup.ts';
import { StoreWriter } from './store-writer.ts';

/** Writes the database, or stands by to. */
export async function writerService({ order, log, bus, process: self }: Setup): Promise<Service> {
  const { config, node, hadDatabase } = order;
  const { path } = config.database;
  const events = {
    status: (status: WriterStatus) => self.writer(status),
    takingOver: () => self.takingOver(),
    leading: () => self.ready(),
    lost: (why: string) => self.exit(why),
  };
  const [leaser, lock] = [await bus.leaser(path, node), await bus.lock(path)];
  const store = new StoreWriter(path, bus.bus, leaser, lock, log, events, hadDatabase);
  self.report(store.metrics, () => ({ redis: bus.trouble, commitTrouble: store.commitTrouble }));
  self.onBackup((file) => store.backUp(file));
  return store;
}
