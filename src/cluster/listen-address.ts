import net, { type AddressInfo } from 'node:net';
import { sleep, systemClock } from '../base/clock.ts';
import { listen } from '../base/listen.ts';

export type ListenAddress = { readonly host: string; readonly port: number };

/**
 * Whether each gateway listens by itself and the kernel spreads connections over them. This is better, where it works, than the
 * primary accepting for them: a connection just handed to a worker that then dies would hang, and every reconnect storm would
 * pass through one process.
 */
export const kernelBalances = process.platform === 'linux';

/** A free port. Call `release` once a worker listens there. */
export type Reservation = { readonly port: number; readonly release: () => void };

/** How long a node waits for its turn at a port, and how often it asks, in milliseconds. */
const TURN_MS = 10_000;
const ASK_FOR_TURN_EVERY_MS = 50;

/**
 * Makes sure that an address is free before workers share it: the processes that share a port are never told that it is in use.
 * If `port` is 0, the system chooses one, and could give it to others until a worker listens. So it is kept, where workers can
 * share it. Of nodes that start at once with the same port, the next looks once a worker of the one before listens.
 * @throws EADDRINUSE and the like
 */
export async function reservePort(host: string, port: number): Promise<Reservation> {
  const keep = port === 0 && kernelBalances;
  const endTurn = keep || !kernelBalances ? () => {} : await turnAt(port);
  const probe = net.createServer((socket) => socket.destroy());
  // Nobody is served here: whatever fails later is no loss.
  await listen(probe, { host, port, exclusive: true, reusePort: keep }, () => {}).catch((error) => {
    endTurn();
    throw error;
  });
  const reserved = { port: (probe.address() as AddressInfo).port, release: endTurn };
  if (keep) return { ...reserved, release: () => void probe.close() };
  await new Promise((closed) => probe.close(closed));
  return reserved;
}

/**
 * Waits until no other node of this machine (of its network namespace) is about to listen on a port. Who has the turn is told by
 * an abstract socket (unix(7)), which ends with its process. Beyond TURN_MS, or where there are none, it goes on without.
 * @returns ends the turn; may be called again
 */
async function turnAt(port: number): Promise<() => void> {
  const until = systemClock.steady() + TURN_MS;
  do {
    const turn = net.createServer((socket) => socket.destroy()).unref();
    try {
      await listen(turn, { path: `\0parley:${port}` }, () => {});
      return () => void turn.close();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') break;
    }
    await sleep(ASK_FOR_TURN_EVERY_MS);
  } while (systemClock.steady() < until);
  return () => {};
}
