import type { Config } from './config.ts';

export type WorkerRole = 'gateway' | 'writer' | 'reader';

/** What a primary tells a process that it forks: which worker of which node it is, and the node's settings. */
export type WorkerOrder = {
  readonly role: WorkerRole;
  /** Unique in the node, such as `gateway 2`. */
  readonly name: string;
  /** Unique in the cluster. New at each start of the primary. */
  readonly node: string;
  /** The primary's version of the program. */
  readonly version: string;
  /** Read and validated once, by the primary. */
  readonly config: Config;
  /** Whether a writer has had a database since the node started. If there is none now, somebody has removed it. */
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
