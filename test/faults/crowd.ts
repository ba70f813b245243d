import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, createClient, type Message } from '../../src/client/index.ts';
import { until } from '../support/wait.ts';
import type { StoredMessage } from './checker.ts';
import type { Random } from './random.ts';

/*
 * Users with the client package, who write to each other through whatever happens and mend nothing themselves: what they
 * are told is what a program that uses the package is told.
 */

type Member = { user: string; client: Client; received: Message[] };

export class Crowd {
  readonly #members: Member[] = [];
  readonly #random: Random;
  /** What `send` resolved with. */
  readonly #acknowledged: Message[] = [];
  /** What the package could not handle by itself. */
  readonly #errors: string[] = [];
  #sent = 0;
  #reconnects = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  get sent(): number {
    return this.#sent;
  }
  /** How often a connection was lost. */
  get reconnects(): number {
    return this.#reconnects;
  }

  /** Registers the users, logs them in, and connects them; each begins with an empty history. */
  async join(url: string, count: number): Promise<void> {
    for (let i = 1; i <= count; i++) {
      const client = createClient({ url });
      const user = `member-${i}`;
      const member: Member = { user, client, received: [] };
      this.#members.push(member);
      client.on('message', (message) => member.received.push(message));
      client.on('problem', ({ error, during }) => this.#errors.push(`${user}: ${during}: ${error}`));
      client.on('resync', () => this.#errors.push(`${user}: told to load history again`));
      client.on(
        'session',
        ({ because }) => because && this.#errors.push(`${user}: session over: ${because}`),
      );
      client.on('state', (state) => {
        if (state.name === 'waiting') this.#reconnects++;
        if (state.name === 'stopped') this.#errors.push(`${user}: stopped: ${state.because}`);
      });
      await client.register(user, 'a password');
      await client.login(user, 'a password');
      client.connect();
      await client.online();
    }
  }

  /** Sends so many messages a second, until `settle`. */
  talk(perSecond: number): void {
    this.#timer = setInterval(() => this.#say(), 1000 / perSecond);
  }

  #say(): void {
    const { user, client } = this.#random.pick(this.#members);
    client.send(this.#random.pick(this.#members).user, `${++this.#sent} from ${user}`).then(
      (message) => this.#acknowledged.push(message),
      (error: Error) => this.#errors.push(`${user}: a send failed: ${error.message}`),
    );
  }

  /** Ends the talk; resolves when every send is acknowledged and everybody has what `newest` says is stored. */
  async settle(boundMs: number, newest: () => ReadonlyMap<string, number>): Promise<void> {
    clearInterval(this.#timer);
    const quiet = (): boolean => this.#members.every(({ client }) => client.outbox.length === 0);
    assert.ok(await until(quiet, boundMs), 'some sends were never acknowledged');
    const heads = newest();
    const level = ({ user, client }: Member): boolean =>
      (client.cursor?.since ?? 0) >= (heads.get(user) ?? 0);
    assert.ok(await until(() => this.#members.every(level), boundMs, 200), 'some never caught up');
    // A repeat or a straggler would come now.
    await sleep(500);
  }

  /** Throws unless what everybody was told is what is stored: each message once, in order, none missing, none more. */
  judge(rows: readonly StoredMessage[]): void {
    assert.deepEqual(this.#errors, []);
    assert.equal(this.#acknowledged.length, this.#sent);
    assert.equal(rows.length, this.#sent);
    const byId = new Map(rows.map((row) => [row.id, rowText(row)]));
    for (const message of this.#acknowledged) assert.equal(byId.get(message.id), messageText(message));
    for (const { user, received } of this.#members) {
      const stored = rows.filter(({ sender, receiver }) => sender === user || receiver === user);
      assert.deepEqual(received.map(messageText), stored.map(rowText), user);
    }
  }

  leave(): void {
    clearInterval(this.#timer);
    for (const { client } of this.#members) client.close();
  }
}

const rowText = ({ id, sender, receiver, text, clientId }: StoredMessage): string =>
  `${id} ${sender} → ${receiver} ${clientId}: ${text}`;

const messageText = ({ id, from, to, client_id, message }: Message): string =>
  `${id} ${from} → ${to} ${client_id}: ${message}`;
