export type RedisAddress = { readonly host: string; readonly port: number };
export type RedisCredentials = { readonly username?: string; readonly password?: string };

type Common = {
  /** Applies to every server, including Sentinels. Node's own NODE_EXTRA_CA_CERTS names a private certificate authority. */
  readonly tls: boolean;
  readonly credentials: RedisCredentials;
};

/** What `REDIS_URL` says: where Redis is, and of which kind. */
export type RedisTarget =
  | (Common & { readonly kind: 'single'; readonly address: RedisAddress; readonly database: number })
  | (Common & {
      readonly kind: 'sentinel';
      readonly sentinels: readonly RedisAddress[];
      readonly sentinelCredentials: RedisCredentials;
      /** The master's name among the Sentinels. */
      readonly master: string;
      readonly database: number;
    })
  /** `nodes` are only the first ones to ask: they name the others. */
  | (Common & { readonly kind: 'cluster'; readonly nodes: readonly [RedisAddress, ...RedisAddress[]] });

const SCHEMES = {
  redis: { kind: 'single', tls: false },
  rediss: { kind: 'single', tls: true },
  'redis+sentinel': { kind: 'sentinel', tls: false },
  'rediss+sentinel': { kind: 'sentinel', tls: true },
  'redis+cluster': { kind: 'cluster', tls: false },
  'rediss+cluster': { kind: 'cluster', tls: true },
} as const;

const DEFAULT_PORT = { single: 6379, sentinel: 26379, cluster: 6379 } as const;
const SENTINEL_PARAMETERS = ['sentinel_username', 'sentinel_password'];
const ENCODE = "in a user name or password, characters like '/', '@', ':' and '?' are percent-encoded";

/**
 * Reads a `REDIS_URL`.
 * @throws Error that says what is wrong. It never quotes the URL, since any part of it may be a password.
 */
export function parseRedisUrl(url: string): RedisTarget {
  const [, scheme = '', rest = ''] = /^([a-z+]+):\/\/(.*)$/is.exec(url) ?? [];
  const form = Object.entries(SCHEMES).find(([name]) => name === scheme.toLowerCase())?.[1];
  if (form === undefined)
    throw new Error(`must begin with ${listOf(Object.keys(SCHEMES).map((name) => `${name}://`))}`);
  const { kind, tls } = form;
  const [, authority = '', path = '', query = ''] = /^([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(rest) ?? [];
  const at = authority.lastIndexOf('@');
  const addresses = parseAddresses(authority.slice(at + 1), DEFAULT_PORT[kind]);
  const credentials = at < 0 ? {} : parseCredentials(authority.slice(0, at));
  const [first, second, ...more] = path.split('/');
  const parameters = new URLSearchParams(query);
  if (kind !== 'sentinel' && query !== '')
    throw new Error(`has a '?', after which nothing is known (${ENCODE})`);

  switch (kind) {
    case 'single': {
      if (addresses.length > 1)
        throw new Error('names several addresses, as only redis+sentinel:// and redis+cluster:// can');
      if (second !== undefined)
        throw new Error(`has more than a database number after the address (${ENCODE})`);
      return {
        kind,
        tls,
        credentials,
        address: addresses[0],
        database: parseDatabase(first),
      };
    }
    case 'sentinel': {
      const master = decode(first ?? '');
      if (master === '')
        throw new Error('must name the master after the addresses, as in redis+sentinel://host/master-name');
      if (more.length > 0)
        throw new Error("has more than the master's name and a database number after the addresses");
      if ([...parameters.keys()].some((name) => !SENTINEL_PARAMETERS.includes(name)))
        throw new Error(`has a parameter after the '?' that is not one of ${listOf(SENTINEL_PARAMETERS)}`);
      const sentinelCredentials = credentialsOf(
        parameters.get('sentinel_username') ?? '',
        parameters.get('sentinel_password') ?? '',
      );
      return {
        kind,
        tls,
        credentials,
        sentinels: addresses,
        sentinelCredentials,
        master,
        database: parseDatabase(second),
      };
    }
    case 'cluster':
      if (path !== '')
        throw new Error(
          `has something after the addresses: Redis Cluster has no database numbers (${ENCODE})`,
        );
      return { kind, tls, credentials, nodes: addresses };
  }
}

/** The URL without passwords, for logs. */
export function redactedUrl(target: RedisTarget): string {
  const { kind, tls } = target;
  const [scheme] = Object.entries(SCHEMES).find(([, it]) => it.kind === kind && it.tls === tls) as [
    string,
    unknown,
  ];
  const { username = '', password } = target.credentials;
  const secret = password === undefined ? '' : ':***';
  const user = username || secret ? `${encodeURIComponent(username)}${secret}@` : '';
  const begin = `${scheme}://${user}`;
  switch (kind) {
    case 'single':
      return `${begin}${textOf([target.address])}${target.database ? `/${target.database}` : ''}`;
    case 'sentinel':
      return `${begin}${textOf(target.sentinels)}/${encodeURIComponent(target.master)}${target.database ? `/${target.database}` : ''}`;
    case 'cluster':
      return `${begin}${textOf(target.nodes)}`;
  }
}

function parseAddresses(text: string, defaultPort: number): [RedisAddress, ...RedisAddress[]] {
  return text.split(',').map((address, i, { length }) => {
    const which = length === 1 ? 'the address' : `address ${i + 1}`;
    const [, v6, name, port] = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/i.exec(address.trim()) ?? [];
    const host = v6 ?? name;
    if (host === undefined) throw new Error(`${which} is not a host, or a host and a port (${ENCODE})`);
    const number = port === undefined ? defaultPort : Number(port);
    if (number < 1 || number > 65_535) throw new Error(`${which} has a port that is not from 1 to 65535`);
    return { host, port: number };
  }) as [RedisAddress, ...RedisAddress[]]; // split() returns at least one part.
}

function parseCredentials(text: string): RedisCredentials {
  const colon = text.indexOf(':');
  const [username, password] = colon < 0 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
  return credentialsOf(decode(username), decode(password));
}

const credentialsOf = (username: string, password: string): RedisCredentials => ({
  ...(username !== '' && { username }),
  ...(password !== '' && { password }),
});

function parseDatabase(text: string | undefined): number {
  if (text === undefined || text === '') return 0;
  if (!/^\d{1,6}$/.test(text)) throw new Error(`has a database that is not a number (${ENCODE})`);
  return Number(text);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Error("has a '%' that is not part of a percent-encoded character: '%' itself is written %25");
  }
}

const textOf = (addresses: readonly RedisAddress[]): string =>
  addresses.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(',');

const listOf = (words: readonly string[]): string => `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
