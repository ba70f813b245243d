import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../support/wait.ts';
import { Device, type DeviceEvents } from './client.ts';
import type { History, UnknownReason } from './history.ts';
import type { Random } from './random.ts';
import { uuidV7 } from './uuid.ts';
import type { MessageFrame } from './wire.ts';

/*
 * The load: users with one or two devices each, who write to each other at a given rate, through whatever happens. A send
 * whose outcome is unknown is sent again with the same client_id, until it is acknowledged or refused for good.
 */

/** A message on its way, until the sender knows what became of it. */
type Send = {
  user: string;
  to: string;
  text: string;
  clientId: string;
  /** Waiting for a socket until `notBefore`, or written to `socket` at `sentAt`. */
  socket: number;
  notBefore: number;
  sentAt: number;
};

export type Account = { user: string; token: string };

export type LoadOptions = {
  accounts: readonly Account[];
  random: Random;
  history: History;
  ports: () => ReadonlyMap<number, number>;
  peek?: (id: number) => boolean | undefined;
};

/** Of the devices, those on the basic protocol. */
const BASIC_SHARE = 0.2;
const TICK_MS = 20;
const ANSWER_TIMEOUT_MS = 6_000;
/** Sends without an outcome, in all: above this, no new ones are made until the server answers. */
const OPEN_SENDS = 3_000;
const PER_SOCKET = 300;

export class Load {
  readonly devices: Device[] = [];
  readonly #options: LoadOptions;
  readonly #users: string[];
  readonly #byUser = new Map<string, Device[]>();
  readonly #open = new Map<string, Send>();
  readonly #queue: Send[] = [];
  readonly #inFlight = new Map<number, number>();
  #timer: NodeJS.Timeout | undefined;
  #rate = 0;
  #due = 0;
  #goal = 0;
  #created = 0;
  #lastTick = 0;
  #sweptAt = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    const { accounts, random, history, ports, peek } = options;
    this.#users = accounts.map((account) => account.user);
    const events: DeviceEvents = {
      message: (device, frame) => this.#onMessage(device, frame),
      refused: (_, clientId, code, retryable) => this.#onRefused(clientId, code, retryable),
      down: (_, socket) => this.#onDown(socket),
    };
    for (const { user, token } of accounts) {
      const count = random.chance(0.5) ? 2 : 1;
      const devices = Array.from({ length: count }, (_, i) => {
        const name = `${user}/${i + 1}`;
        const protocol = random.chance(BASIC_SHARE) ? 'basic' : 'full';
        const patient = random.chance(0.5);
        return new Device({
          name,
          user,
          token,
          protocol,
          patient,
          random: random.fork(name),
          history,
          ports,
          events,
          peek,
        });
      });
      this.#byUser.set(user, devices);
      this.devices.push(...devices);
    }
  }

  /** Messages made so far. */
  get created(): number {
    return this.#created;
  }
  /** Messages whose outcome is not known yet. */
  get open(): number {
    return this.#open.size;
  }

  start(): void {
    for (const device of this.devices) device.start();
    this.#lastTick = performance.now();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Makes messages at `rate` per second until `goal` have been made in all. */
  aim(rate: number, goal: number): void {
    this.#rate = rate;
    this.#goal = goal;
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const device of this.devices) device.stop();
  }

  /** Some devices lose their connection and come back. */
  churn(count: number): void {
    for (let i = 0; i < count; i++) this.#options.random.pick(this.devices).reconnect();
  }

  /** One user gets a burst of long messages while its devices do not read. */
  floodPaused(pauseMs: number, messages: number): void {
    const { random } = this.#options;
    const user = random.pick(this.#users);
    for (const device of this.#byUser.get(user)!) device.pause(pauseMs);
    const others = this.#users.filter((other) => other !== user);
    for (let i = 0; i < messages; i++) this.#create(random.pick(others), user, `${i} `.padEnd(8_000, '€'));
  }

  /**
   * Waits until nothing more is on its way: every send has its outcome and every device is back, each bounded by `boundMs`;
   * then until the devices have what `newestOf` says is stored for them. What is still missing then is in the history.
   */
  async quiesce(boundMs: number, newestOf: () => ReadonlyMap<string, number>): Promise<void> {
    this.aim(0, 0);
    for (const device of this.devices) device.resume();
    await until(() => this.#open.size === 0, boundMs);
    const back = (device: Device): boolean => device.ready && device.caughtUp;
    await until(() => this.devices.every(back), boundMs);
    const complete = (): boolean => {
      const newest = newestOf();
      return this.devices.every((d) => d.protocol === 'basic' || (d.claim ?? 0) >= (newest.get(d.user) ?? 0));
    };
    await until(complete, Math.min(boundMs, 15_000), 300);
    // A repeat or a straggler would come now.
    await sleep(1_000);
    for (const device of this.devices) {
      if (back(device)) continue;
      const what = device.ready ? 'connected, and never caught up' : 'not connected';
      this.#options.history.record({ kind: 'stuck', device: device.name, what });
    }
    this.#options.history.record({ kind: 'quiesced' });
  }

  #tick(): void {
    const now = performance.now();
    const elapsed = Math.min(now - this.#lastTick, 1_000);
    this.#lastTick = now;
    this.#due = Math.min(this.#due + (this.#rate * elapsed) / 1000, this.#rate);
    while (this.#due >= 1 && this.#created < this.#goal && this.#open.size < OPEN_SENDS) {
      this.#due--;
      this.#createAny();
    }
    this.#misbehave(elapsed);
    if (now - this.#sweptAt > 250) this.#sweep(now);
    this.#write(now);
  }

  #createAny(): void {
    const { random } = this.#options;
    const user = random.pick(this.#users);
    // Now and then to oneself, which must arrive once.
    const to = random.chance(0.01) ? user : random.pick(this.#users);
    this.#create(user, to, `m${this.#created} ${'.'.repeat(random.int(40))}`);
  }

  #create(user: string, to: string, text: string): void {
    this.#created++;
    const clientId = uuidV7();
    const send: Send = { user, to, text, clientId, socket: 0, notBefore: 0, sentAt: 0 };
    this.#open.set(clientId, send);
    this.#queue.push(send);
  }

  /** What real clients do beside sending: they come and go, and some stop reading for a while. */
  #misbehave(elapsedMs: number): void {
    const { random } = this.#options;
    if (this.#rate === 0) return;
    if (random.chance((0.4 * elapsedMs) / 1000)) this.churn(1);
    if (random.chance((0.15 * elapsedMs) / 1000)) random.pick(this.devices).pause(random.between(500, 8_000));
  }

  #write(now: number): void {
    const { random } = this.#options;
    const waiting = this.#queue.splice(0);
    for (const send of waiting) {
      if (!this.#open.has(send.clientId)) continue;
      const devices = this.#byUser.get(send.user)!;
      const free = (d: Device): boolean => d.ready && (this.#inFlight.get(d.socket) ?? 0) < PER_SOCKET;
      const able = send.notBefore > now ? [] : devices.filter(free);
      if (able.length === 0) {
        this.#queue.push(send);
        continue;
      }
      const device = random.pick(able);
      send.socket = device.socket;
      send.sentAt = now;
      this.#inFlight.set(device.socket, (this.#inFlight.get(device.socket) ?? 0) + 1);
      device.send(send.clientId, send.to, send.text);
      // An anxious client sends at once again, over another device if it has one.
      if (random.chance(0.01))
        random.pick(devices.filter((d) => d.ready)).send(send.clientId, send.to, send.text);
    }
  }

  #onMessage(device: Device, frame: MessageFrame): void {
    if (frame.from !== device.user) return;
    const send = this.#open.get(frame.client_id);
    if (send === undefined || send.user !== frame.from) return;
    this.#settle(send);
    // Much later, through whatever device: the answer must still be the original.
    const { random } = this.#options;
    if (!random.chance(0.01)) return;
    const again = (): void => {
      const able = this.#byUser.get(send.user)!.filter((d) => d.ready);
      if (able.length > 0) random.pick(able).send(send.clientId, send.to, send.text);
    };
    setTimeout(again, random.between(0, 20_000)).unref();
  }

  #settle(send: Send): void {
    this.#open.delete(send.clientId);
    this.#landed(send);
  }

  #landed(send: Send): void {
    if (send.socket === 0) return;
    this.#inFlight.set(send.socket, Math.max(0, (this.#inFlight.get(send.socket) ?? 1) - 1));
    send.socket = 0;
  }

  #onRefused(clientId: string | undefined, code: string, retryable: boolean): void {
    const send = clientId === undefined ? undefined : this.#open.get(clientId);
    if (send === undefined) return;
    if (!retryable) {
      this.#settle(send);
      return;
    }
    if (code === 'unavailable') this.#unknown(send, 'unavailable');
    this.#again(send, this.#options.random.between(100, 800));
  }

  #onDown(socket: number): void {
    for (const send of this.#open.values()) {
      if (send.socket !== socket) continue;
      this.#unknown(send, 'closed');
      this.#again(send, 0);
    }
    this.#inFlight.delete(socket);
  }

  #sweep(now: number): void {
    this.#sweptAt = now;
    for (const send of this.#open.values()) {
      if (send.socket === 0 || now - send.sentAt < ANSWER_TIMEOUT_MS) continue;
      this.#unknown(send, 'timeout');
      this.#again(send, 0);
    }
  }

  #unknown(send: Send, reason: UnknownReason): void {
    this.#options.history.record({ kind: 'unknown', user: send.user, clientId: send.clientId, reason });
  }

  #again(send: Send, afterMs: number): void {
    const queued = send.socket === 0;
    this.#landed(send);
    send.notBefore = performance.now() + afterMs;
    if (!queued) this.#queue.push(send);
  }
}
