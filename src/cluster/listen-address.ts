import net, { type AddressInfo } from 'node:net';
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

/**
 * Makes sure that an address is free before workers share it: the processes that share a port are never told that it is in use.
 * If `port` is 0, the system chooses one, and could give it to others until a worker listens. So it is kept, where workers can
 * share it.
 * @throws EADDRINUSE and the like
 */
export async function reservePort(host: string, port: number): Promise<Reservation> {
  const keep = port === 0 && kernelBalances;
  const probe = net.createServer((socket) => socket.destroy());
  // Nobody is served here: whatever fails later is no loss.
  await listen(probe, { host, port, exclusive: true, reusePort: keep }, () => {});
  const reserved = { port: (probe.address() as AddressInfo).port, release: () => void probe.close() };
  if (!keep) await new Promise((closed) => probe.close(closed));
  return reserved;
}
