import { MessageTemplate, textFrame } from './wire.ts';

/*
 * What the load generator must know of each system's protocol. All carry the same texts between the same users.
 */

export type Protocol = 'seed' | 'parley' | 'socket.io';
export type Login = { readonly id: string; readonly token?: string };
/** Where a client that comes back goes on. */
export type Resume = { readonly since: number; readonly epoch: string };

/** What a frame that is not a message means to the load generator. */
export type Signal =
  | { readonly type: 'greeting' }
  | { readonly type: 'ready'; readonly epoch?: string; readonly head?: number; readonly paging?: boolean }
  | {
      readonly type: 'page';
      readonly texts: readonly string[];
      readonly upto: number;
      readonly more: boolean;
    }
  | { readonly type: 'refused'; readonly code: string; readonly clientId?: string }
  | { readonly type: 'ping' }
  | { readonly type: 'other' };

export type Dialect = {
  readonly path: string;
  readonly subprotocol?: string;
  /** When the client's first frame may go out: at once, or after the server's greeting. */
  readonly opens: 'client' | 'server';
  /** The frame that says who the client is. */
  hello(login: Login, resume?: Resume): Buffer;
  /** How the client learns that it is connected: a frame of the protocol, or (none in the seed's) a WebSocket pong. */
  readonly readyBy: 'frame' | 'pong';
  template(to: string, textLength: number): MessageTemplate;
  signal(text: string): Signal;
  /** Answer to a `ping` signal. */
  readonly pong?: Buffer;
};

type JsonFrame = {
  readonly type?: string;
  readonly code?: string;
  readonly error?: string;
  readonly client_id?: string;
  readonly epoch?: string;
  readonly head?: number;
  readonly upto?: number;
  readonly more?: boolean;
  readonly resync?: boolean;
  readonly messages?: readonly { readonly message: string }[];
};

const jsonSignal = (text: string): Signal => {
  const frame = JSON.parse(text) as JsonFrame;
  switch (frame.type) {
    case 'connected':
      return { type: 'ready', epoch: frame.epoch!, head: frame.head!, paging: frame.resync !== true };
    case 'page':
      return {
        type: 'page',
        texts: frame.messages!.map((message) => message.message),
        upto: frame.upto!,
        more: frame.more!,
      };
    case 'error':
    case 'closing':
      return {
        type: 'refused',
        code: frame.code ?? frame.error ?? 'unknown',
        ...(frame.client_id === undefined ? {} : { clientId: frame.client_id }),
      };
    default:
      return { type: 'other' };
  }
};

const json = (value: unknown): string => JSON.stringify(value);

export const DIALECTS: Readonly<Record<Protocol, Dialect>> = {
  seed: {
    path: '/ws',
    opens: 'client',
    hello: (login) => textFrame(json({ type: 'connect', user_id: login.id })),
    readyBy: 'pong',
    template: (to, length) =>
      new MessageTemplate(length, (text) => json({ type: 'message', to, message: text })),
    signal: jsonSignal,
  },
  parley: {
    path: '/ws',
    subprotocol: 'parley.v1',
    opens: 'client',
    hello: (login, resume) =>
      textFrame(json({ type: 'connect', user_id: login.id, token: login.token, ...resume })),
    readyBy: 'frame',
    template: (to, length) =>
      new MessageTemplate(length, (text, clientId) =>
        json({ type: 'message', to, message: text, client_id: clientId }),
      ),
    signal: jsonSignal,
  },
  'socket.io': {
    path: '/socket.io/?EIO=4&transport=websocket',
    opens: 'server',
    hello: (login) => textFrame(`40${json({ user_id: login.id })}`),
    readyBy: 'frame',
    template: (to, length) =>
      new MessageTemplate(length, (text) => `42${json(['message', { to, message: text }])}`),
    // Engine.IO packet types: 0 open, 2 ping, 4 message; Socket.IO's within 4: 0 connect, 1 disconnect, 4 refused.
    signal: (text) => {
      if (text.startsWith('0')) return { type: 'greeting' };
      if (text.startsWith('2')) return { type: 'ping' };
      if (text.startsWith('40')) return { type: 'ready' };
      if (text.startsWith('44')) return { type: 'refused', code: text.slice(2) };
      return { type: 'other' };
    },
    pong: textFrame('3'),
  },
};
