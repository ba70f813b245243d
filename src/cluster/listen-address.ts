import net, { type AddressInfo } from 'node:net';

export type ListenAddress = { readonly host: string; readonly port: number };

/**
 * Whether gateways listen each for themselves and the kernel spreads connections over them. Where it can, it is better than the
 * primary accepting for them: a connection that the primary had just handed to a worker that then dies would hang,
 * and a storm of reconnects would have to pass through one process.
 */
export const kernelBalances = process.platform === 'linux';

/**
 * Makes sure that an address is free before workers share it: among those who share a port, nobody is told that it is
 * in use.
 * @returns the port; the one that was chosen, if `port` is 0
 * @throws EADDRINUSE and the like
 */
export function reservePort(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = net.createServer();
    probe.once('error', reject);
    probe.listen({ host, port, exclusive: true }, () => {
      const { port: free } = probe.address() as AddressInfo;
      probe.close(() => resolve(free));
    });
  });
}
