import type { Config } from './config.ts';

export type WorkerRole = 'gateway' | 'writer' | 'reader';

/** What a forked process is told by its primary: which worker of which node it is, and the node's settings. */
export type WorkerOrder = {
  readonly role: WorkerRole;
  /** Unique within the node, such as `gateway 2`. */
  readonly name: string;
  /** Unique in the cluster; new with each start of the primary. */
  readonly node: string;
  /** Read and checked once, by the primary. */
  readonly config: Config;
  /** Since the node started, a writer of its has had a database: where none is now, somebody took it away. */
  readonly hadDatabase: boolean;
};

const VARIABLE = 'PARLEY_WORKER';

export function workerEnvironment(order: WorkerOrder): Record<string, string> {
  return { [VARIABLE]: JSON.stringify(order) };
}

/** @throws Error if the process was not forked by a primary */
export function readWorkerOrder(environment: NodeJS.ProcessEnv): WorkerOrder {
  const order = environment[VARIABLE];
  if (order === undefined) throw new Error('a worker is started by its primary only');
  return JSON.parse(order);
}
