import type { ChildProcess } from 'node:child_process';
import type { Commands, Order, Reply } from './load.ts';
import { forkProcess, stopProcess } from './processes.ts';

/** The bench's handle on the load generator's process. One order at a time. */
export class LoadGenerator {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = forkProcess(new URL('load.ts', import.meta.url));
  }

  /** Rejects if the order fails, the generator dies, or `timeoutMs` pass. */
  async order<C extends keyof Commands>(
    command: C,
    ask: Commands[C]['ask'],
    timeoutMs = 120_000,
  ): Promise<Commands[C]['answer']> {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        child.off('message', onMessage);
        child.off('exit', onExit);
        act();
      };
      const onMessage = (reply: Reply): void =>
        settle(() =>
          'error' in reply ? reject(new Error(reply.error)) : resolve(reply.answer as Commands[C]['answer']),
        );
      const onExit = (): void => settle(() => reject(new Error('the load generator ended')));
      const timer = setTimeout(
        () => settle(() => reject(new Error(`${command}: no answer within ${timeoutMs} ms`))),
        timeoutMs,
      );
      child.on('message', onMessage);
      child.on('exit', onExit);
      child.send({ command, ...ask } as Order);
    });
  }

  async stop(): Promise<void> {
    await stopProcess(this.#child);
  }
}
