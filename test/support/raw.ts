import { connect, type Socket } from 'node:net';

/** A TCP connection that says what it is told to, however wrong. */
export class RawConnection {
  readonly socket: Socket;
  /** Everything the server said, once it has closed the connection. */
  readonly closed: Promise<string>;
  #said = '';

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.socket = connect(Number(port), hostname);
    this.socket.setEncoding('latin1');
    this.socket.on('data', (chunk: string) => {
      this.#said += chunk;
    });
    this.socket.on('error', () => {});
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve(this.#said)));
  }

  /** What the server has said so far. */
  get said(): string {
    return this.#said;
  }

  send(...lines: string[]): void {
    this.socket.write(lines.join('\r\n'), 'latin1');
  }
}

export type RawAnswer = { readonly status: number; readonly head: string; readonly body: string };

/** For the first of an answer, in milliseconds. */
const ANSWER_MS = 20_000;

/** One request as bytes; the answer up to the end of the connection, or until nothing more of it comes for `quietMs`. */
export async function rawRequest(url: string, lines: readonly string[], quietMs = 3_000): Promise<RawAnswer> {
  const connection = new RawConnection(url);
  connection.send(...lines);
  const end = (): void => void connection.socket.destroy();
  let timer = setTimeout(end, ANSWER_MS);
  connection.socket.on('data', () => {
    clearTimeout(timer);
    timer = setTimeout(end, quietMs);
  });
  const said = await connection.closed;
  clearTimeout(timer);
  return rawAnswer(said);
}

export function rawAnswer(said: string): RawAnswer {
  const [head = '', ...rest] = said.split('\r\n\r\n');
  return { status: Number(head.match(/^HTTP\/1\.1 (\d{3})/)?.[1] ?? 0), head, body: rest.join('\r\n\r\n') };
}

/** Head of a WebSocket upgrade; `undefined` leaves a header out. */
export function upgradeLines(
  headers: Readonly<Record<string, string | undefined>> = {},
  request = 'GET /ws HTTP/1.1',
): string[] {
  const all: Record<string, string | undefined> = {
    Host: 'x',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  return [request, ...lines, '', ''];
}
