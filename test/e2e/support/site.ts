import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { createDatabase, mintToken } from '../../support/database.ts';
import { titleOf } from '../../support/processes.ts';
import { ROOT } from '../../support/root.ts';
import { startNode, type TestNode, temporaryFolder } from '../../support/server.ts';
import type { Cleanups } from './cleanups.ts';

export type Site = {
  readonly url: string;
  readonly node: TestNode;
  readonly database: string;
};

type SiteOptions = {
  /** Registered before the start; all have the password `secret`. */
  readonly users?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Writes more into the database before the start. */
  readonly prepare?: (database: string) => void;
};

/** A node with two gateways that serves the web app as it is in the sources now. */
export async function startSite(cleanups: Cleanups, options: SiteOptions = {}): Promise<Site> {
  execFileSync(process.execPath, ['src/web/ensure-built.ts'], { cwd: ROOT, stdio: 'inherit' });
  const database = path.join(temporaryFolder(cleanups), 'chat.db');
  await createDatabase(database, options.users ?? []);
  options.prepare?.(database);
  const { node, url } = await startNode(cleanups, {
    HOST: '127.0.0.1',
    WORKERS: '2',
    DATABASE_PATH: database,
    ...options.env,
  });
  return { url, node, database };
}

/** What a browser that has logged in earlier keeps. */
export async function sessionOf(url: string, user: string) {
  const session = { user_id: user, token: await mintToken(user) };
  const localStorage = [{ name: 'parley:session', value: JSON.stringify(session) }];
  return { cookies: [], origins: [{ origin: url, localStorage }] };
}

/** The process that calls itself `node/worker` in its answers. */
export function pidOfGateway(node: TestNode, worker: string): number {
  const name = `parley: gateway ${worker.split('/')[1]}`;
  const pid = node.workers('gateway').find((each) => titleOf(each).trim() === name);
  if (pid === undefined) throw new Error(`no process '${name}'`);
  return pid;
}
