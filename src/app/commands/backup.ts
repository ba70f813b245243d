import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { http } from '../../base/node-http.ts';
import { fail } from '../fail.ts';
import { readConfigOrFail } from '../read-config.ts';

/** `npm run backup -- <file>`: asks the running node that writes the database to copy it to a new file. */
export async function backUp(environment: NodeJS.ProcessEnv, file: string | undefined): Promise<void> {
  if (file === undefined) fail('usage: npm run backup -- <file>');
  const {
    admin: { host, port },
    database,
  } = readConfigOrFail(environment);
  const query = new URLSearchParams({ file: path.resolve(file) });
  // With several servers on one machine, only one has the default port. It must not be mistaken for the one meant.
  if (environment['DATABASE_PATH']?.trim()) query.set('database', database.path);
  const where = `port ${port} of ${host} (ADMIN_PORT, ADMIN_HOST)`;
  const { status, body } = await post({ host, port, path: `/backup?${query}` }).catch(
    (error: NodeJS.ErrnoException) =>
      // A host name with several addresses fails with an AggregateError.
      error.syscall === 'connect' || error.syscall === 'getaddrinfo' || error instanceof AggregateError
        ? fail(
            `no Parley answers at ${where}: the back-up is made by the running server (one that is stopped has its file to copy, with the -wal if that is not empty).`,
          )
        : fail(
            `the server at ${where} ended before the back-up was whole (${error.message}): ask again when it is back.`,
          ),
  );
  // The public port also answers, but with 404.
  const answer =
    (status === 404 ? undefined : parse(body)) ?? fail(`what answers at ${where} is no Parley's admin port.`);
  if (status !== 200) fail(String(answer.error));
  process.stdout.write(`${answer.file}: ${answer.pages} pages of ${answer.database}\n`);
}

type Answer = { file?: string; pages?: number; database?: string; error?: string };

/** Not fetch(): it gives up after five minutes without an answer, and a large database takes longer. */
async function post(where: {
  host: string;
  port: number;
  path: string;
}): Promise<{ status: number | undefined; body: string }> {
  const request = http.request({ ...where, method: 'POST' }).end();
  // A connection that breaks within the response fails both, and only the response is waited for then.
  request.on('error', () => {});
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return { status: response.statusCode, body: await text(response) };
}

/** Undefined if it is not JSON. */
function parse(body: string): Answer | undefined {
  try {
    return JSON.parse(body) as Answer;
  } catch {
    return undefined;
  }
}
