import path from 'node:path';
import { readConfig } from '../config/config.ts';
import { fail } from './fail.ts';

/** `npm run backup -- <file>`: has the running node that writes the database copy it to a new file. */
export async function backUp(
  environment: Readonly<Record<string, string | undefined>>,
  file: string | undefined,
): Promise<void> {
  if (file === undefined) fail('usage: npm run backup -- <file>');
  const { admin } = readConfig(environment);
  const url = new URL(`http://${admin.host}:${admin.port}/backup`);
  url.searchParams.set('file', path.resolve(file));
  const response = await fetch(url, { method: 'POST' }).catch(() =>
    fail(
      `no Parley answers at ADMIN_PORT ${admin.port}: the back-up is made by the running server (one that is stopped has its file to copy).`,
    ),
  );
  const answer = (await response.json()) as { file?: string; pages?: number; error?: string };
  if (!response.ok) fail(String(answer.error));
  process.stdout.write(`${answer.file}: ${answer.pages} pages\n`);
}
