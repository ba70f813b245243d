import net, { type AddressInfo } from 'node:net';

export type ListenAddress = { readonly host: string; readonly port: number };

/**
 * Whether gateways listen each for themselves and the kernel spreads connections over them. Where it can, it is better than the
 * primary accepting for them: a connection that the primary had just handed to a worker that then dies would hang,
 * and a storm of reconnects would have to pass through one process.
 */
export const kernelBalances = process.platform === 'linux';

/** A port that is free, and `release`, for when a worker listens there. */
export type Reservation = { readonly port: number; readonly release: () => void };

/**
 * Makes sure that an address is free before workers share it: among those who share a port, nobody is told that it is
 * in use. A port that was chosen, since `port` is 0, would be given to others as well until a worker listens: where workers
 * can share it, it is kept.
 * @throws EADDRINUSE and the like
 */
export function reservePort(host: string, port: number): Promise<Reservation> {
  const keep = port === 0 && kernelBalances;
  return new Promise((resolve, reject) => {
    const probe = net.createServer((socket) => socket.destroy());
    probe.once('error', reject);
    probe.listen({ host, port, exclusive: true, reusePort: keep }, () => {
      const reserved = { port: (probe.address() as AddressInfo).port, release: () => void probe.close() };
      if (keep) resolve(reserved);
      else probe.close(() => resolve(reserved));
    });
  });
}
