import type { ListenAddress } from '../cluster/listen-address.ts';

/** The name or address belongs to nobody, needs a network interface (`fe80::1%eth0`), or is of a kind that this machine lacks. */
const NO_ADDRESS = ['EADDRNOTAVAIL', 'ENOTFOUND', 'EINVAL', 'EAFNOSUPPORT'];
/** What fails if an address can't be listened on. Files fail with some of the same codes. */
const LISTENING = ['listen', 'bind', 'getaddrinfo'];

/** Ends the process with one clear line for each problem, for the person who started it. */
export function fail(...problems: string[]): never {
  for (const problem of problems) process.stderr.write(`parley: ${problem}\n`);
  process.exit(1);
}

/**
 * Why a node or a worker can't start. For an address that can't be listened on, it says what to do; otherwise it is the error's
 * own message.
 * @param settings prefix of the names of the address's settings
 */
export function startFailure(
  error: unknown,
  { host, port }: ListenAddress,
  settings: '' | 'ADMIN_' = '',
): string {
  if (!(error instanceof Error)) return String(error);
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (!LISTENING.includes(String(syscall))) return message;
  if (code === 'EADDRINUSE')
    return `port ${port} on ${host} is in use: stop what listens there, or set ${settings}PORT.`;
  if (code === 'EACCES')
    return `port ${port} on ${host} may not be used by this user: set ${settings}PORT above 1023.`;
  if (NO_ADDRESS.includes(String(code))) return `${settings}HOST=${host} is not an address of this machine.`;
  if (code === 'EAI_AGAIN') return `${settings}HOST=${host} can't be looked up: DNS does not answer.`;
  return message;
}
