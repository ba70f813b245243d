import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { listen } from '../base/listen.ts';
import { isLocalName } from '../base/local-names.ts';
import { http } from '../base/node-http.ts';

export type AdminAnswer = {
  readonly status: number;
  readonly type: string;
  readonly body: string | Buffer;
  /** In addition to those that every answer has. */
  readonly headers?: Readonly<Record<string, string>>;
};
export type AdminHandler = (url: URL) => AdminAnswer | Promise<AdminAnswer>;

export const json = (status: number, body: unknown): AdminAnswer => ({
  status,
  type: 'application/json; charset=utf-8',
  body: `${JSON.stringify(body)}\n`,
});
export const text = (status: number, body: string): AdminAnswer => ({
  status,
  type: 'text/plain; charset=utf-8',
  body,
});

/** Allows the page's own files and nothing else: no inline script or style, no frame around it. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * A node's server for operators: metrics, health, back-ups, the cluster page. It has no users and no password, so it listens only
 * where operators are (ADMIN_HOST, ADMIN_PORT).
 */
export class AdminServer {
  readonly #server: Server;
  readonly #routes: ReadonlyMap<string, AdminHandler>;
  readonly #localNamesOnly: boolean;
  readonly #onError: (error: unknown) => void;

  /**
   * @param routes by method and path, such as `GET /metrics`
   * @param localNamesOnly whether to answer only requests whose Host is `localhost` or an address
   */
  constructor(
    routes: ReadonlyMap<string, AdminHandler>,
    localNamesOnly: boolean,
    onError: (error: unknown) => void,
  ) {
    this.#routes = routes;
    this.#localNamesOnly = localNamesOnly;
    this.#onError = onError;
    this.#server = http.createServer((request, response) => {
      this.#answer(request)
        .catch((error: unknown) => {
          onError(error);
          return json(500, { error: 'Something went wrong; the log tells more.' });
        })
        .then((answer) => write(response, answer));
    });
  }

  /** Resolves with the port. Rejects with EADDRINUSE and the like. */
  async listen(host: string, port: number): Promise<number> {
    await listen(this.#server, { host, port }, this.#onError);
    return (this.#server.address() as AddressInfo).port;
  }

  async #answer(request: IncomingMessage): Promise<AdminAnswer> {
    if (this.#localNamesOnly && !isLocalName(request.headers.host)) {
      return json(403, {
        error:
          'Without ADMIN_HOST this port answers only to localhost and IP addresses. To be reached by another name, set ADMIN_HOST (127.0.0.1 keeps it on this machine).',
      });
    }
    const url = URL.parse(request.url ?? '/', 'http://admin');
    // Monitors use HEAD, to read less. Node omits the body.
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const handler = url && this.#routes.get(`${method} ${url.pathname}`);
    if (!handler) {
      const paths = [...this.#routes.keys()].filter((route) => !route.includes('/assets/'));
      return json(404, { error: `There is: ${paths.join(', ')}.` });
    }
    // A page of another site in the operator's browser must not act on their behalf.
    if (method !== 'GET' && request.headers.origin !== undefined) {
      return json(403, { error: 'Not from a browser.' });
    }
    return handler(url);
  }
}

function write(response: ServerResponse, { status, type, body, headers }: AdminAnswer): void {
  response.writeHead(status, {
    'Content-Type': type,
    'Cache-Control': 'no-store',
    'Content-Security-Policy': POLICY,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    ...headers,
  });
  response.end(body);
}
