import { SUBPROTOCOL } from '../contract/version.ts';

/** Events of a socket. None comes before `open` has returned, and none after `closed`. */
export type SocketEvents = {
  opened(): void;
  /** One text frame. */
  frame(text: string): void;
  /** `code` is 1006 if there was no close frame. */
  closed(code: number, reason: string): void;
};

export type Socket = {
  send(text: string): void;
  close(): void;
};

/** The `AbortSignal` of the DOM's types, or of Node's. The package's declarations want neither. */
type Signal = typeof globalThis extends { AbortSignal: { prototype: infer T } } ? T : unknown;

/** A `RequestInit`, in so far as the client uses it. */
export type HttpRequest = {
  readonly method: 'GET' | 'POST';
  readonly headers: Record<string, string>;
  readonly body?: string;
  readonly signal: Signal;
  readonly keepalive: boolean;
};

/** A `Response`, in so far as the client uses it. */
export type HttpAnswer = {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  text(): Promise<string>;
};

/** The client's access to the outside: sockets, HTTP, and whether there is a network at all. */
export type Transport = {
  open(url: string, events: SocketEvents): Socket;
  fetch(url: string, init: HttpRequest): Promise<HttpAnswer>;
  /** Calls back when the platform gains or loses its network; never, if it can't tell. @returns the function that stops it */
  watchNetwork(changed: (up: boolean) => void): () => void;
};

/** Uses the global `WebSocket` and `fetch`, which browsers and Node ≥ 22 share. */
export const defaultTransport: Transport = {
  open(url, events) {
    const socket = new WebSocket(url, SUBPROTOCOL);
    socket.onopen = () => events.opened();
    socket.onmessage = ({ data }) => {
      if (typeof data === 'string') events.frame(data);
    };
    socket.onclose = ({ code, reason }) => events.closed(code, reason);
    // `close` follows every `error` and says as much; a browser's `error` tells nothing on purpose.
    socket.onerror = () => {};
    return {
      send: (text) => socket.send(text),
      close: () => socket.close(),
    };
  },

  fetch: (url, init) => fetch(url, init),

  watchNetwork(changed) {
    if (typeof globalThis.addEventListener !== 'function') return () => {};
    const up = () => changed(true);
    const down = () => changed(false);
    globalThis.addEventListener('online', up);
    globalThis.addEventListener('offline', down);
    return () => {
      globalThis.removeEventListener('online', up);
      globalThis.removeEventListener('offline', down);
    };
  },
};
