import type { Service } from '../../base/life-cycle.ts';
import { answerQuery } from '../../bus/query-client.ts';
import { type Db, openForReading, placeCheck, reason } from '../../db/open.ts';
import { ReaderMetrics } from '../../ops/metrics.ts';
import { Reader } from '../../reader/reader.ts';
import type { Setup } from './setup.ts';

/** Answers the cluster's queries from the database, once that is permitted. Until then it has loaded, and waits. */
export function readerService({ order, log, bus, process: self }: Setup): Service {
  let db: Db | undefined;
  const metrics = new ReaderMetrics();
  self.report(metrics, () => ({ redis: bus.trouble }));
  return {
    async start() {
      await self.mayServe;
      db = openForReading(order.config.database.path);
      const handlers = new Reader(db);
      const assertThere = placeCheck(db);
      // The file may have been restored while no writer could start. The new writer has opened the file that is there now.
      self.onServe(() => {
        try {
          assertThere();
        } catch (error) {
          self.exit((error as Error).message);
        }
      });
      await bus.bus.serve((payload) => {
        const measured = metrics.time.startTimer();
        const answer = answerQuery(handlers, payload, (query, err) => {
          log.error({ event: 'query_failed', err, query }, 'query failed');
          return reason(err);
        });
        measured();
        metrics.queries.inc();
        return answer;
      });
      self.ready();
    },
    async stop() {
      // The bus first, so that no query finds the database closed.
      await bus.close();
      db?.close();
    },
  };
}
