import { Client, type ClientEvents } from './client.ts';
import { DIALECTS, type Dialect, type Login, type Protocol, type Resume } from './dialect.ts';
import { Traffic } from './traffic.ts';
import { type MessageTemplate, numberInClientId } from './wire.ts';

/*
 * The users of a load: their sockets, and what they write to each other. User i talks with user i ^ 1.
 */

/** Of a message, in characters. */
export const TEXT_LENGTH = 40;
/** Sockets being opened at once: enough to keep a server busy, few enough not to overflow its accept queue. */
const OPENING_AT_ONCE = 100;
/** A refused message is sent again after this time, so that a refusal is not answered by a flood. */
const RETRY_MS = 50;

export type Connected = {
  readonly opened: number;
  readonly failed: number;
  readonly seconds: number;
  readonly refused: Readonly<Record<string, number>>;
};

export class Crowd {
  readonly traffic = new Traffic();
  readonly clients: Client[] = [];
  readonly #port: number;
  readonly #dialect: Dialect;
  readonly #logins: Login[] = [];
  readonly #templates = new Map<string, MessageTemplate>();
  readonly #waiting = new Map<Client, { resolve(): void; reject(reason: Error): void }>();
  /** Called when a socket that was live is lost. */
  onLost: (client: Client) => void = () => undefined;

  constructor(port: number, protocol: Protocol) {
    this.#port = port;
    this.#dialect = DIALECTS[protocol];
  }

  get resumes(): boolean {
    return this.#dialect.subprotocol !== undefined;
  }

  /** Connects these users beside those that are connected. */
  async connect(logins: readonly Login[]): Promise<Connected> {
    const first = this.#logins.length;
    this.#logins.push(...logins);
    const began = performance.now();
    const refused: Record<string, number> = {};
    let next = first;
    let opened = 0;
    const openOneByOne = async (): Promise<void> => {
      while (next < this.#logins.length) {
        const user = next;
        next += 1;
        try {
          await this.open(user);
          opened += 1;
        } catch (error) {
          const reason = (error as Error).message;
          refused[reason] = (refused[reason] ?? 0) + 1;
        }
      }
    };
    await Promise.all(Array.from({ length: OPENING_AT_ONCE }, openOneByOne));
    return { opened, failed: logins.length - opened, seconds: (performance.now() - began) / 1000, refused };
  }

  /** Opens a user's socket (anew); done when the user is connected and, where there is catch-up, caught up. */
  async open(user: number, resume?: Resume): Promise<Client> {
    const client = new Client(this.#port, this.#dialect, user, this.#logins[user]!, this.#events, resume);
    this.clients[user] = client;
    await new Promise<void>((resolve, reject) => this.#waiting.set(client, { resolve, reject }));
    return client;
  }

  template(receiver: number, textLength: number): MessageTemplate {
    const key = `${receiver} ${textLength}`;
    let template = this.#templates.get(key);
    if (template === undefined) {
      template = this.#dialect.template(this.#logins[receiver]!.id, textLength);
      this.#templates.set(key, template);
    }
    return template;
  }

  /** How each of these users sends: to the other of its pair. */
  toPartner(textLength: number): (client: Client, intendedMs: number) => void {
    const partners = this.#logins.map((_, user) => this.template(user ^ 1, textLength));
    return (client, intendedMs) => {
      this.traffic.send(client, client.user ^ 1, partners[client.user]!, intendedMs);
    };
  }

  end(): void {
    for (const client of this.clients) client.end();
    this.clients.length = 0;
    this.#logins.length = 0;
  }

  readonly #events: ClientEvents = {
    onMessage: (client, number, atMs) => this.traffic.received(client.user, number, atMs),
    onReady: (client) => {
      this.#waiting.get(client)?.resolve();
      this.#waiting.delete(client);
    },
    onRefused: (client, code, clientId) => {
      this.traffic.refused(code);
      this.#waiting.get(client)?.reject(new Error(code));
      const number = clientId === undefined ? -1 : numberInClientId(clientId);
      const sender = number < 0 ? undefined : this.traffic.giveUp(number);
      if (sender !== undefined) setTimeout(() => this.traffic.onFinished(sender), RETRY_MS);
    },
    onClose: (client, reason) => {
      const waiting = this.#waiting.get(client);
      this.#waiting.delete(client);
      if (waiting !== undefined) {
        waiting.reject(new Error(reason));
        return;
      }
      this.traffic.refused(reason);
      this.onLost(client);
    },
  };
}
