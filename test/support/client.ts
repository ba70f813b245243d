import { WebSocket } from 'ws';
import type { MessageFrame } from '../../src/contract/frames.ts';
import { SUBPROTOCOL } from '../../src/contract/version.ts';
import { waitFor } from './wait.ts';

export type Frame = { readonly type: string } & Record<string, unknown>;

export type HttpAnswer = {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly headers: Headers;
};

/** One HTTP call with a JSON body, or none; the answer's body as JSON. */
export async function call(
  url: string,
  method: string,
  path: string,
  options: { body?: unknown; token?: string } = {},
): Promise<HttpAnswer> {
  const response = await fetch(url + path, {
    method,
    headers: { ...(options.token !== undefined && { Authorization: `Bearer ${options.token}` }) },
    ...(options.body !== undefined && {
      body: typeof options.body === 'string' ? options.body : JSON.stringify(options.body),
    }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === '' ? {} : JSON.parse(text) };
}

export async function register(url: string, user: string, password = 'secret'): Promise<void> {
  const { status, body } = await call(url, 'POST', '/register', { body: { user_id: user, password } });
  if (status !== 200) throw new Error(`register ${user}: ${status} ${JSON.stringify(body)}`);
}

export async function logIn(url: string, user: string, password = 'secret'): Promise<string> {
  const { status, body } = await call(url, 'POST', '/login', { body: { user_id: user, password } });
  if (status !== 200) throw new Error(`login ${user}: ${status} ${JSON.stringify(body)}`);
  return body['token'] as string;
}

/** Registers and logs in. */
export async function newUser(url: string, user: string): Promise<string> {
  await register(url, user);
  return logIn(url, user);
}

/** Messages delivered live or in pages, answers to repeated sends left out. */
export const messagesOf = (frames: readonly Frame[]): MessageFrame[] =>
  frames.flatMap((frame) => {
    if (frame.type === 'page') return frame['messages'] as MessageFrame[];
    if (frame.type === 'message' && frame['repeat'] === undefined) return [frame as unknown as MessageFrame];
    return [];
  });

/** A socket that keeps what it gets. */
export class TestSocket {
  readonly ws: WebSocket;
  readonly frames: Frame[] = [];
  readonly opened: Promise<void>;
  readonly closed: Promise<{ code: number; reason: string }>;
  /** Which worker answered the upgrade, as node/worker. */
  worker = '';

  constructor(url: string, options: { full?: boolean; headers?: Record<string, string> } = {}) {
    const protocols = options.full === false ? [] : [SUBPROTOCOL];
    this.ws = new WebSocket(`${url.replace('http', 'ws')}/ws`, protocols, { headers: options.headers ?? {} });
    this.opened = new Promise((resolve, reject) => {
      this.ws.once('open', () => resolve());
      this.ws.once('error', reject);
    });
    this.opened.catch(() => {});
    this.closed = new Promise((resolve) => {
      this.ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    this.ws.on('upgrade', (response) => {
      this.worker = String(response.headers['parley-worker']);
    });
    this.ws.on('message', (data) => this.frames.push(JSON.parse(data.toString()) as Frame));
    this.ws.on('error', () => {});
  }

  send(frame: unknown): void {
    this.ws.send(typeof frame === 'string' || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame));
  }

  /** The nth frame that matches, waiting for it. */
  async next(matches: (frame: Frame) => boolean, n = 1, timeoutMs = 20_000): Promise<Frame> {
    const found = (): Frame | undefined => this.frames.filter(matches)[n - 1];
    await waitFor(
      () => found() !== undefined,
      timeoutMs,
      () => `no such frame among ${JSON.stringify(this.frames.slice(-5))}`,
    );
    return found() as Frame;
  }

  type(type: string, n = 1): Promise<Frame> {
    return this.next((frame) => frame.type === type, n);
  }

  get messages(): MessageFrame[] {
    return messagesOf(this.frames);
  }

  close(): void {
    this.ws.close();
  }
}

/** A socket of the full protocol, connected. */
export async function connect(
  url: string,
  user: string,
  token: string | undefined,
  extra: Record<string, unknown> = {},
): Promise<TestSocket> {
  const socket = new TestSocket(url);
  await socket.opened;
  socket.send({ type: 'connect', user_id: user, ...(token !== undefined && { token }), ...extra });
  await socket.type('connected');
  return socket;
}
