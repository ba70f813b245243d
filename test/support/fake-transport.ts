import {
  type ClientOptions,
  createClient,
  type Socket,
  type SocketEvents,
  type Transport,
} from '../../src/client/index.ts';
import type { ClientFrame, Connected, ServerFrame } from '../../src/client/wire.ts';
import { ManualClock } from './manual-clock.ts';
import { connected } from './server-frames.ts';

/** One socket of `FakeTransport`, seen from the server. */
export class FakeSocket implements Socket {
  readonly sent: ClientFrame[] = [];
  readonly events: SocketEvents;
  closedByClient = false;

  constructor(events: SocketEvents) {
    this.events = events;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.closedByClient = true;
  }

  says(...frames: ServerFrame[]): void {
    for (const frame of frames) this.events.frame(JSON.stringify(frame));
  }

  /** What the client has sent since the last call. */
  take(): ClientFrame[] {
    return this.sent.splice(0);
  }
}

/** A transport without a network: everything happens when the test says so. */
export class FakeTransport implements Transport {
  readonly sockets: FakeSocket[] = [];
  network: (up: boolean) => void = () => {};

  open(_url: string, events: SocketEvents): Socket {
    const socket = new FakeSocket(events);
    this.sockets.push(socket);
    return socket;
  }

  fetch(): Promise<Response> {
    return Promise.reject(new TypeError('no network here'));
  }

  watchNetwork(changed: (up: boolean) => void): () => void {
    this.network = changed;
    return () => {
      this.network = () => {};
    };
  }

  get last(): FakeSocket {
    return this.sockets.at(-1)!;
  }

  /** Opens the newest socket and welcomes the client on it. @returns the socket, its `connect` frame taken */
  welcome(frame: Partial<Connected> = {}): FakeSocket {
    const socket = this.last;
    socket.events.opened();
    socket.take();
    socket.says(connected(frame));
    return socket;
  }
}

/**
 * A client of alice's, logged in, for whom time and the network are the test's. Chance is `random`. `unheard` ends the listener to
 * its problems.
 */
export function startClient(options: Partial<ClientOptions> = {}) {
  const clock = new ManualClock();
  const transport = new FakeTransport();
  const client = createClient({
    url: 'http://chat.test',
    session: { user_id: 'alice', token: 't1' },
    clock,
    transport,
    random: () => 0,
    ...options,
  });
  // Or the console would tell those that a test is not about.
  const unheard = client.on('problem', () => {});
  return { client, clock, transport, unheard };
}
