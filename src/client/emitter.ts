import { isPending } from './storage.ts';

type Listeners<Events> = { [K in keyof Events]?: Set<(event: Events[K]) => unknown> };

/**
 * Calls listeners at once, in the order of subscription. What is emitted from inside a listener waits until the current
 * event has reached everyone, so that all listeners see all events in one order. A listener that throws harms no other; one
 * that is asynchronous is not waited for, and when its promise rejects it has thrown.
 */
export class Emitter<Events> {
  readonly #listeners: Listeners<Events> = {};
  readonly #waiting: (() => void)[] = [];
  readonly #threw: (error: unknown, event: keyof Events) => void;
  #emitting = false;

  constructor(threw: (error: unknown, event: keyof Events) => void) {
    this.#threw = threw;
  }

  on<K extends keyof Events>(name: K, listener: (event: Events[K]) => void): () => void {
    const listeners: Set<(event: Events[K]) => unknown> = this.#listeners[name] ?? new Set();
    this.#listeners[name] = listeners;
    // A wrapper of its own makes two subscriptions of one function two subscriptions.
    const call = (event: Events[K]) => listener(event);
    listeners.add(call);
    return () => listeners.delete(call);
  }

  /** Whether anybody listens. */
  has(name: keyof Events): boolean {
    return (this.#listeners[name]?.size ?? 0) > 0;
  }

  emit<K extends keyof Events>(name: K, event: Events[K]): void {
    this.#waiting.push(() => this.#call(name, event));
    if (this.#emitting) return;
    this.#emitting = true;
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) next();
    } finally {
      this.#emitting = false;
    }
  }

  #call<K extends keyof Events>(name: K, event: Events[K]): void {
    const listeners = this.#listeners[name];
    for (const listener of [...(listeners ?? [])]) {
      // One before it has unsubscribed it.
      if (!listeners?.has(listener)) continue;
      try {
        const done = listener(event);
        if (isPending(done)) done.then(undefined, (error: unknown) => this.#threw(error, name));
      } catch (error) {
        this.#threw(error, name);
      }
    }
  }
}
