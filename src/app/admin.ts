import path from 'node:path';
import type { WorkerRole } from '../config/worker.ts';
import { adminFiles } from '../ops/admin-files.ts';
import { type AdminHandler, AdminServer, json, text } from '../ops/admin-server.ts';
import type { ClusterAnswer } from '../ops/cluster-view.ts';
import type { NodeSummary } from '../ops/node-summary.ts';
import type { BackupMade } from './backups.ts';

export type NodeState = {
  /** Why the node does not do everything it should; undefined if it does. */
  readonly trouble: string | undefined;
  readonly writer: NodeSummary['writer'];
  /** Number of workers that do their work. */
  readonly workers: Readonly<Record<WorkerRole, number>>;
};

export type AdminParts = {
  /** Whether to answer only requests whose Host is `localhost` or an address. */
  readonly localNamesOnly: boolean;
  state(): NodeState;
  /** The whole node's metrics, in Prometheus's format. */
  metrics(): Promise<string>;
  /** The data of the cluster page, with the samples after `after`. */
  cluster(after: number): ClusterAnswer;
  /**
   * Backs the database up. Rejects if this node is not the writer, or the file can't be written.
   * @param meant the database that the caller believes is this node's; rejects if it is not
   */
  backUp(file: string, meant: string | undefined): Promise<BackupMade>;
  onError(error: unknown): void;
};

/** A node's server for operators. */
export function createAdminServer({
  localNamesOnly,
  state,
  metrics,
  cluster,
  backUp,
  onError,
}: AdminParts): AdminServer {
  const routes = new Map<string, AdminHandler>([
    ['GET /livez', () => json(200, { live: true })],
    [
      'GET /readyz',
      () => {
        const now = state();
        return json(now.trouble === undefined ? 200 : 503, { ready: now.trouble === undefined, ...now });
      },
    ],
    [
      'GET /metrics',
      async () => ({
        ...text(200, await metrics()),
        type: 'text/plain; version=0.0.4; charset=utf-8',
      }),
    ],
    ['GET /', () => ({ ...text(302, ''), headers: { Location: '/admin' } })],
    ['GET /admin/cluster.json', (url) => json(200, cluster(Number(url.searchParams.get('after')) || 0))],
    ...adminFiles(),
    [
      'POST /backup',
      async (url) => {
        const file = url.searchParams.get('file');
        if (file === null || !path.isAbsolute(file))
          return json(400, { error: "'file' must be an absolute path." });
        const meant = url.searchParams.get('database') ?? undefined;
        if (meant !== undefined && !path.isAbsolute(meant))
          return json(400, { error: "'database' must be an absolute path." });
        try {
          const made = await backUp(path.resolve(file), meant);
          return json(200, { file: path.resolve(file), ...made });
        } catch (error) {
          return json(409, { error: `The back-up failed: ${(error as Error).message}.` });
        }
      },
    ],
  ]);
  return new AdminServer(routes, localNamesOnly, onError);
}
