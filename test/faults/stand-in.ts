import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import type { StoredMessage } from './checker.ts';
import { fingerprint } from './history.ts';

/*
 * A server in a few lines, that keeps its messages in an array: it shows that the load and the checker find nothing where
 * nothing is wrong, and, with one wrong planted in it, that they find that.
 */

export type Wrong =
  | 'acknowledges without storing'
  | 'delivers before storing'
  | 'forgets client ids'
  | 'leaves out a live message'
  | 'leaves out a message of a page'
  | 'loses the end of the stream'
  | 'delivers twice'
  | 'swaps two messages'
  | 'delivers to everybody'
  | 'changes the text'
  | 'refuses a valid send'
  | 'never answers'
  | 'takes a client for one of another past';

type Row = { id: number; sender: string; receiver: string; message: string; clientId: string };
type Session = { ws: WebSocket; user: string; full: boolean; held: Row | undefined };

const PAGE = 50;
/** Longer than a delivery takes on a busy machine: whoever looks at once must still find nothing. */
const LATE_MS = 1_000;

export class StandIn {
  /** The wrong it does now; none by default. */
  wrong: Wrong | undefined;
  readonly #rows: Row[] = [];
  readonly #hidden = new Set<number>();
  readonly #servers: Server[] = [];
  readonly #sessions = new Set<Session>();
  #head = 0;
  #occasions = 0;

  async start(nodes: number): Promise<Map<number, number>> {
    const ports = new Map<number, number>();
    for (let node = 1; node <= nodes; node++) {
      const server = createServer();
      const wss = new WebSocketServer({
        server,
        handleProtocols: (offers) => (offers.has('parley.v1') ? 'parley.v1' : false),
      });
      wss.on('connection', (ws) => this.#accept(ws));
      await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
      this.#servers.push(server);
      ports.set(node, (server.address() as AddressInfo).port);
    }
    return ports;
  }

  stop(): void {
    this.dropAll();
    for (const server of this.#servers) server.close();
  }

  dropAll(): void {
    for (const { ws } of this.#sessions) ws.terminate();
  }

  has(id: number): boolean {
    return !this.#hidden.has(id) && this.#rows.some((row) => row.id === id);
  }

  rows(): StoredMessage[] {
    return this.#rows
      .filter((row) => row.message !== '')
      .map(({ id, sender, receiver, message, clientId }) => ({
        id,
        sender,
        receiver,
        text: fingerprint(message),
        clientId,
      }));
  }

  /** Whether the wrong is done on this occasion: on one in `every`. */
  #does(wrong: Wrong, every = 20): boolean {
    return this.wrong === wrong && ++this.#occasions % every === 0;
  }

  #accept(ws: WebSocket): void {
    const session: Session = { ws, user: '', full: ws.protocol === 'parley.v1', held: undefined };
    ws.on('error', () => {});
    ws.on('close', () => this.#sessions.delete(session));
    ws.on('message', (data) => {
      const frame = JSON.parse(String(data)) as Record<string, string> & { since?: number };
      if (frame.type === 'connect') this.#connect(session, frame.user_id!, frame.since);
      else this.#send(session, frame.to!, frame.message!, frame.client_id!);
    });
  }

  #connect(session: Session, user: string, since: number | undefined): void {
    session.user = user;
    this.#sessions.add(session);
    if (!session.full) return;
    const resync = since !== undefined && this.#does('takes a client for one of another past', 1);
    write(session, { type: 'connected', user_id: user, epoch: 'e1', head: this.#head, resync });
    if (since === undefined || resync) return;
    const mine = this.#rows.filter((row) => row.id > since && concerns(row, user));
    const rows = mine.filter(() => !this.#does('leaves out a message of a page', 1));
    do {
      const page = rows.splice(0, PAGE);
      const more = rows.length > 0;
      const upto = more ? page.at(-1)!.id : this.#head;
      write(session, { type: 'page', messages: page.map((row) => toFrame(row)), upto, more });
    } while (rows.length > 0);
  }

  #send(session: Session, to: string, message: string, clientId: string): void {
    const sender = session.user;
    if (this.#does('never answers')) return;
    if (this.#does('refuses a valid send')) {
      const code = 'invalid_message';
      write(session, { type: 'error', code, error: code, retryable: false, client_id: clientId });
      return;
    }
    const original = this.#rows.find((row) => row.sender === sender && row.clientId === clientId);
    if (original !== undefined && this.wrong !== 'forgets client ids') {
      write(session, { ...toFrame(original), repeat: true });
      return;
    }
    const text = this.#does('changes the text') ? `${message}!` : message;
    const row: Row = { id: ++this.#head, sender, receiver: to, message: text, clientId };
    if (this.#does('acknowledges without storing')) {
      write(session, toFrame(row));
      return;
    }
    this.#rows.push(row);
    const late = this.#does('delivers before storing');
    if (late) this.#hidden.add(row.id);
    if (late) setTimeout(() => this.#hidden.delete(row.id), LATE_MS);
    const everybody = this.#does('delivers to everybody');
    for (const other of this.#sessions) if (everybody || concerns(row, other.user)) this.#deliver(other, row);
  }

  #deliver(session: Session, row: Row): void {
    if (this.wrong === 'loses the end of the stream' && row.sender !== session.user) {
      this.#holdBack(session, row);
      return;
    }
    if (row.sender !== session.user && this.#does('leaves out a live message')) return;
    if (row.sender !== session.user && this.#does('swaps two messages')) {
      session.held = row;
      return;
    }
    write(session, toFrame(row));
    if (this.#does('delivers twice')) write(session, toFrame(row));
    if (session.held !== undefined) write(session, toFrame(session.held));
    session.held = undefined;
  }

  /** The receiver's events are late by one, so that what comes last never comes. */
  #holdBack(session: Session, row: Row): void {
    if (session.held !== undefined) write(session, toFrame(session.held));
    session.held = row;
  }
}

const concerns = (row: Row, user: string): boolean => row.sender === user || row.receiver === user;

const toFrame = (row: Row): object => ({
  type: 'message',
  from: row.sender,
  to: row.receiver,
  message: row.message,
  id: row.id,
  timestamp: '2026-01-31 12:00:00',
  client_id: row.clientId,
});

function write(session: Session, frame: object): void {
  session.ws.send(JSON.stringify(frame));
}
