/** Called with what a listener threw, once per kind of channel. */
export type OnUnreadable = (kind: string, error: unknown) => void;

/**
 * The listeners by channel. A publication that its listener can't read (from a later version, or a stranger) must not end the
 * process: it counts as lost.
 */
export class Listeners {
  readonly #byChannel = new Map<string, (payload: string) => void>();
  readonly #onUnreadable: OnUnreadable;
  readonly #told = new Set<string>();

  constructor(onUnreadable: OnUnreadable) {
    this.#onUnreadable = onUnreadable;
  }

  set(channel: string, listener: (payload: string) => void): void {
    this.#byChannel.set(channel, listener);
  }

  has(channel: string): boolean {
    return this.#byChannel.has(channel);
  }

  delete(channel: string): void {
    this.#byChannel.delete(channel);
  }

  clear(): void {
    this.#byChannel.clear();
  }

  call(channel: string, payload: string): void {
    try {
      this.#byChannel.get(channel)?.(payload);
    } catch (error) {
      const kind = channel.split(':', 1)[0] as string;
      if (this.#told.has(kind)) return;
      this.#told.add(kind);
      this.#onUnreadable(kind, error);
    }
  }
}
