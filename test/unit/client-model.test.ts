import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Client, createClient, memoryStorage, type OutboxEntry } from '../../src/client/index.ts';
import type { ClientFrame, Message } from '../../src/client/wire.ts';
import { type FakeSocket, FakeTransport } from '../support/fake-transport.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { connected } from '../support/server-frames.ts';

/*
 * One client against a model of the server that keeps the contract and breaks everything it may: sockets die before and
 * after the commit, answers are lost, sends are refused for now, pages are small, the client's page is reloaded.
 * The invariants: every message is stored once (G2), and the listener sees all of them once, in order (G3, G4).
 */

type Step =
  | { do: 'send' }
  | { do: 'receive' }
  | { do: 'kill'; committed: number }
  | { do: 'serve'; count: number }
  | { do: 'refuse' }
  | { do: 'reload' }
  | { do: 'wait'; ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Step>({ do: 'send' }) },
  { weight: 3, arbitrary: fc.constant<Step>({ do: 'receive' }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('kill' as const), committed: fc.nat(3) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('serve' as const), count: fc.integer({ min: 1, max: 5 }) }),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'refuse' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'reload' }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 40_000 }) }),
  },
);

class ModelServer {
  readonly log: Message[] = [];
  #socket: FakeSocket | null = null;
  /** Live messages go only to a socket that has been welcomed. */
  #live = false;

  attach(socket: FakeSocket): void {
    this.#socket = socket;
    this.#live = false;
    socket.events.opened();
  }

  append(from: string, to: string, message: string, client_id: string): Message {
    const stored: Message = {
      type: 'message',
      from,
      to,
      message,
      id: this.log.length * 2 + 1,
      timestamp: '',
      client_id,
    };
    this.log.push(stored);
    if (this.#live) this.#socket?.says(stored);
    return stored;
  }

  /** Answers up to `count` of the frames that have come. */
  serve(count: number, refuse = false): void {
    for (const frame of this.#socket?.sent.splice(0, count) ?? []) this.#answer(frame, refuse);
  }

  /** Commits some of what has come, and dies before it says so. */
  kill(committed: number): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#live = false;
    for (const frame of socket?.sent.splice(0, committed) ?? []) {
      if (frame.type === 'message' && !this.#known(frame.client_id)) {
        this.append('alice', frame.to, frame.message, frame.client_id!);
      }
    }
    socket?.events.closed(1006, '');
  }

  #known(client_id: string | undefined): Message | undefined {
    return this.log.find((message) => message.from === 'alice' && message.client_id === client_id);
  }

  #answer(frame: ClientFrame, refuse: boolean): void {
    const socket = this.#socket;
    if (frame.type === 'connect') {
      const head = this.log.at(-1)?.id ?? 0;
      socket?.says(connected({ head }));
      if (frame.since !== undefined) this.#pages(frame.since);
      this.#live = true;
    } else if (frame.type === 'message') {
      const { to, message, client_id } = frame;
      const original = this.#known(client_id);
      if (refuse) socket?.says({ type: 'error', code: 'unavailable', error: '', retryable: true, client_id });
      else if (original !== undefined) socket?.says({ ...original, repeat: true });
      else this.append('alice', to, message, client_id!);
    } else if (frame.type === 'ping') {
      socket?.says({ type: 'pong' });
    }
  }

  #pages(since: number): void {
    const missed = this.log.filter(({ id }) => id > since);
    do {
      const messages = missed.splice(0, 2);
      this.#socket?.says({
        type: 'page',
        messages,
        upto: messages.at(-1)?.id ?? since,
        more: missed.length > 0,
      });
    } while (missed.length > 0);
  }
}

test('G2, G3, G4: whatever breaks, each message is stored once and delivered once, in order', () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
      (steps, jitter) => {
        const clock = new ManualClock();
        const storage = memoryStorage();
        const server = new ModelServer();
        const delivered: Message[] = [];
        // An error that a listener throws is told, and goes no further.
        const problems: unknown[] = [];
        // What a listener makes of the outbox's events.
        let shown = new Map<string, OutboxEntry>();
        let sent = 0;
        let seen = 0;
        let transport = new FakeTransport();
        const open = () => {
          transport = new FakeTransport();
          seen = 0;
          const created = createClient({
            url: 'http://chat.test',
            session: { user_id: 'alice' },
            // Of the device, not of the page: the listener's list outlives a reload, too.
            cursorName: 'list',
            storage,
            clock,
            transport,
            random: () => jitter.next().value ?? 0,
          });
          created.on('message', (message) => delivered.push(message));
          created.on('problem', ({ error }) => problems.push(error));
          shown = new Map(created.outbox.map((entry) => [entry.client_id, entry]));
          created.on('outbox', ({ kind, entry }) => {
            if (shown.has(entry.client_id) === (kind === 'added'))
              problems.push(`${kind} ${entry.client_id}`);
            if (kind === 'added' || kind === 'updated') shown.set(entry.client_id, entry);
            else shown.delete(entry.client_id);
          });
          created.connect();
          return created;
        };
        const follows = (client: Client) => assert.deepEqual([...shown.values()], client.outbox);
        const attach = () => {
          if (transport.sockets.length > seen && !transport.last.closedByClient) {
            seen = transport.sockets.length;
            server.attach(transport.last);
          }
        };
        let client = open();
        attach();
        // The list begins where the first connection does.
        server.serve(1);
        for (const now of steps) {
          attach();
          if (now.do === 'send') void client.send('bob', `m${sent++}`);
          else if (now.do === 'receive') server.append('bob', 'alice', 'hi', `b${server.log.length}`);
          else if (now.do === 'kill') server.kill(now.committed);
          else if (now.do === 'serve') server.serve(now.count);
          else if (now.do === 'refuse') server.serve(1, true);
          else if (now.do === 'wait') clock.advance(now.ms);
          else {
            server.kill(0);
            client.close();
            client = open();
          }
          follows(client);
        }
        // Steps shorter than the time-out of a socket, so that the server gets to answer on one.
        for (let i = 0; i < 500 && (client.outbox.length > 0 || client.state.name !== 'online'); i++) {
          attach();
          server.serve(1_000);
          clock.advance(1_000);
        }
        const mine = server.log.filter(({ from }) => from === 'alice').map(({ message }) => message);
        assert.deepEqual(
          mine.sort((a, b) => Number(a.slice(1)) - Number(b.slice(1))),
          Array.from({ length: sent }, (_, i) => `m${i}`),
        );
        assert.deepEqual(
          delivered.map(({ id }) => id),
          server.log.map(({ id }) => id),
        );
        assert.deepEqual(client.outbox, []);
        follows(client);
        assert.deepEqual(problems, []);
        client.close();
        assert.equal(clock.timers, 0);
      },
    ),
    { numRuns: 300 },
  );
});
