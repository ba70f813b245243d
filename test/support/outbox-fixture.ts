import type { ClientOptions } from '../../src/client/index.ts';
import type { ErrorNotice } from '../../src/client/wire.ts';
import { type FakeSocket, startClient } from './fake-transport.ts';
import { stored } from './server-frames.ts';

/** A client of alice's, and what puts it online, and online again. */
export function start(options: Partial<ClientOptions> = {}) {
  const { client, clock, transport } = startClient({ random: () => 0.5, ...options });
  const online = (frame = {}): FakeSocket => {
    client.connect();
    return transport.welcome(frame);
  };
  const reconnect = (): FakeSocket => {
    transport.last.events.closed(1006, '');
    clock.advance(30_000);
    return transport.welcome();
  };
  return { client, clock, transport, online, reconnect };
}

/** The `message` frames among what was sent. */
export const sends = (socket: FakeSocket) =>
  socket.take().flatMap((frame) => (frame.type === 'message' ? [[frame.client_id, frame.message]] : []));

export const echo = (id: number, client_id: string, message = 'hi') =>
  stored(id, { from: 'alice', to: 'bob', message, client_id });

export const refusal = (code: ErrorNotice['code'], retryable: boolean, client_id?: string): ErrorNotice => ({
  type: 'error',
  code,
  error: code,
  retryable,
  client_id,
});

export const tick = () => new Promise(setImmediate);
