import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/*
 * A TCP relay between a node and Redis, that can go silent without closing: what a firewall that forgets a connection, or
 * a machine that loses power, looks like from the other side. Half-open connections need no root this way.
 */

type Link = { near: Socket; far: Socket; subscriber: boolean; silent: boolean };

/** Which of the existing connections go silent. */
export type Silence = 'all' | 'subscribers' | 'others';

/** A silenced connection is given up this long after, when nobody closed it before. */
const SILENT_FOR_MS = 120_000;

export class Relay {
  readonly #target: number;
  readonly #links = new Set<Link>();
  #server: Server | undefined;
  #blackout = false;

  /** `target`: the port on loopback that connections are passed on to. */
  constructor(target: number) {
    this.#target = target;
  }

  get port(): number {
    return (this.#server!.address() as AddressInfo).port;
  }

  /** Connections that are open and not silenced. */
  get live(): number {
    return [...this.#links].filter((link) => !link.silent).length;
  }

  async start(): Promise<void> {
    this.#server = createServer((near) => this.#accept(near));
    await new Promise<void>((listening) => this.#server!.listen(0, '127.0.0.1', listening));
  }

  /**
   * Existing connections of that kind pass nothing more, for ever, in either direction, and are not closed. New ones work.
   * Returns how many went silent.
   */
  silence(which: Silence): number {
    let count = 0;
    for (const link of this.#links) {
      if (link.silent || (which !== 'all' && link.subscriber !== (which === 'subscribers'))) continue;
      this.#mute(link);
      count++;
    }
    return count;
  }

  /** Nothing passes: existing connections go silent for ever, new ones are accepted and silent, until `restore`. */
  blackout(): void {
    this.#blackout = true;
    this.silence('all');
  }

  restore(): void {
    this.#blackout = false;
  }

  /** Resets every connection. */
  cut(): void {
    for (const { near, far } of this.#links) {
      near.destroy();
      far.destroy();
    }
  }

  async stop(): Promise<void> {
    this.cut();
    const server = this.#server;
    if (server !== undefined) await new Promise<void>((closed) => server.close(() => closed()));
  }

  #accept(near: Socket): void {
    const far = connect(this.#target, '127.0.0.1');
    const link: Link = { near, far, subscriber: false, silent: false };
    this.#links.add(link);
    near.setNoDelay(true);
    far.setNoDelay(true);
    near.on('data', (data) => {
      link.subscriber ||= /\bS?SUBSCRIBE\r\n/i.test(data.toString('latin1'));
      if (!link.silent && !far.write(data)) near.pause();
    });
    far.on('data', (data) => {
      if (!link.silent && !near.write(data)) far.pause();
    });
    near.on('drain', () => !link.silent && far.resume());
    far.on('drain', () => !link.silent && near.resume());
    for (const [side, other] of [
      [near, far],
      [far, near],
    ] as const) {
      side.on('error', () => {});
      side.on('close', () => {
        // The other side of a silent connection does not hear of the end either.
        if (!link.silent) other.destroy();
        if (near.destroyed && far.destroyed) this.#links.delete(link);
      });
    }
    if (this.#blackout) this.#mute(link);
  }

  #mute(link: Link): void {
    link.silent = true;
    link.near.pause();
    link.far.pause();
    const giveUp = (): void => {
      link.near.destroy();
      link.far.destroy();
    };
    setTimeout(giveUp, SILENT_FOR_MS).unref();
  }
}
