/** Which worker of which node a forked process is; its primary says so in the environment. */
export type WorkerIdentity = {
  readonly role: 'gateway' | 'writer' | 'reader';
  /** Unique within the node, such as `gateway 2`. */
  readonly name: string;
  /** Unique in the cluster; new with each start of the primary. */
  readonly node: string;
};

export function workerEnvironment(identity: WorkerIdentity): Record<string, string> {
  return { PARLEY_WORKER_ROLE: identity.role, PARLEY_WORKER_NAME: identity.name, PARLEY_NODE: identity.node };
}

export function readWorkerIdentity(
  environment: Readonly<Record<string, string | undefined>>,
): WorkerIdentity {
  const { PARLEY_WORKER_ROLE: role, PARLEY_WORKER_NAME: name, PARLEY_NODE: node } = environment;
  if (
    (role !== 'gateway' && role !== 'writer' && role !== 'reader') ||
    name === undefined ||
    node === undefined
  ) {
    throw new Error('a worker is started by its primary only');
  }
  return { role, name, node };
}
