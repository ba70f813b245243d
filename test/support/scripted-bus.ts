import type { Bus, LogEntry, Position, Publication } from '../../src/core/bus.ts';

/** What becomes of an entry on its way to the log; `unknown`: it arrives, but whoever appended it is not told so. */
export type AppendFate = 'arrives' | 'lost' | 'twice' | 'unknown';

/** A bus whose test says what arrives, and when. Every port is one process's end of it. */
export class ScriptedBus {
  readonly ports = new Set<ScriptedPort>();
  log: LogEntry[] = [];
  /** What becomes of the entries appended next; after these, all arrive. */
  readonly fates: AppendFate[] = [];
  #entries = 0;

  port(): ScriptedPort {
    const port = new ScriptedPort(this);
    this.ports.add(port);
    return port;
  }

  add(payload: string): void {
    this.log.push({ position: String(++this.#entries), payload });
  }
}

export class ScriptedPort implements Bus {
  readonly #bus: ScriptedBus;
  readonly #listeners = new Map<string, (payload: string) => void>();
  readonly #gapListeners: (() => void)[] = [];
  /** Published to a channel this port listens to, and not delivered yet. */
  inbox: Publication[] = [];
  /** Publications of this port that still get through; those after them are lost, and the call is rejected. */
  publishable = Number.POSITIVE_INFINITY;

  constructor(bus: ScriptedBus) {
    this.#bus = bus;
  }

  get channels(): string[] {
    return [...this.#listeners.keys()];
  }

  async publish(publications: readonly Publication[]): Promise<void> {
    for (const publication of publications) {
      if (this.publishable <= 0) throw new Error('the connection is lost');
      this.publishable--;
      for (const port of this.#bus.ports) port.#hear(publication);
    }
  }

  #hear(publication: Publication): void {
    if (this.#listeners.has(publication.channel)) this.inbox.push({ ...publication });
  }

  /** Delivers the oldest publications. */
  deliver(count: number = Number.POSITIVE_INFINITY): void {
    for (let i = 0; i < count && this.inbox.length > 0; i++) {
      const { channel, payload } = this.inbox.shift() as Publication;
      this.#listeners.get(channel)?.(payload);
    }
  }

  lose(count: number = Number.POSITIVE_INFINITY): void {
    this.inbox.splice(0, count);
  }

  /** The connection was lost and is back. */
  gap(): void {
    for (const listener of this.#gapListeners) listener();
  }

  async subscribe(channel: string, listener: (payload: string) => void): Promise<void> {
    this.#listeners.set(channel, listener);
  }

  unsubscribe(channel: string): void {
    this.#listeners.delete(channel);
  }

  onGap(listener: () => void): void {
    this.#gapListeners.push(listener);
  }

  async append(payload: string): Promise<void> {
    const fate = this.#bus.fates.shift() ?? 'arrives';
    if (fate !== 'lost') this.#bus.add(payload);
    if (fate === 'twice') this.#bus.add(payload);
    if (fate === 'lost' || fate === 'unknown') throw new Error('the connection is lost');
  }

  async read(after: Position | undefined, limit: number): Promise<readonly LogEntry[]> {
    const from = Number(after ?? 0);
    await new Promise((resolve) => setImmediate(resolve));
    return this.#bus.log.filter(({ position }) => Number(position) > from).slice(0, limit);
  }

  async trim(position: Position): Promise<void> {
    this.#bus.log = this.#bus.log.filter((entry) => Number(entry.position) > Number(position));
  }

  request(_payload: string): Promise<string> {
    return Promise.reject(new Error('requests are not scripted'));
  }

  async serve(): Promise<void> {}

  async close(): Promise<void> {
    this.#bus.ports.delete(this);
  }
}

/** Lets everything that is ready run. */
export async function settle(turns = 4): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}
