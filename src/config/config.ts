import os from 'node:os';
import path from 'node:path';
import type { z } from 'zod';
import { type Env, envSchema, portsSchema } from './env.ts';
import type { RedisTarget } from './redis-url.ts';

export type Role = Env['ROLE'];

/** Settings of one node, typed. Every process of the node has the same. */
export type Config = {
  readonly role: Role;
  readonly http: {
    readonly port: number;
    readonly host: string;
    /** Whether to answer only requests whose Host is `localhost` or an address. */
    readonly localNamesOnly: boolean;
    readonly corsOrigins: '*' | readonly string[];
    readonly trustProxy: boolean;
  };
  readonly admin: {
    readonly port: number;
    readonly host: string;
    /** As in `http`. */
    readonly localNamesOnly: boolean;
    /** Whether port or host was set explicitly. */
    readonly chosen: boolean;
  };
  readonly database: { readonly path: string };
  readonly bus: { readonly kind: 'ipc' } | { readonly kind: 'redis'; readonly redis: RedisTarget };
  /** Number of gateway workers; 0 if the node has none. */
  readonly gateways: number;
  /** Number of reader workers; 0 if the node has no store. */
  readonly readers: number;
  readonly auth:
    | { readonly mode: 'open' }
    | { readonly mode: 'required'; readonly secrets: readonly string[]; readonly tokenTtlS: number };
  readonly passwordMinLength: number;
  readonly rateLimits: boolean;
  readonly logLevel: Env['LOG_LEVEL'];
  readonly shutdownTimeoutMs: number;
};

/** Everything that is wrong with the environment, one sentence each. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** Minimum length of TOKEN_SECRET, in characters: 256 bits need at least 32. */
const SECRET_MIN_CHARS = 32;

/**
 * Reads the settings from an environment.
 * @throws ConfigError with all problems at once
 */
export function readConfig(environment: NodeJS.ProcessEnv): Config {
  // An empty variable, as compose files set them, counts as not set. Space around a value is never intended.
  const set = Object.fromEntries(
    Object.entries(environment)
      .map(([name, value]) => [name, value?.trim()] as const)
      .filter(([, value]) => value),
  );
  const parsed = envSchema.safeParse(set);
  const problems = parsed.success ? [] : parsed.error.issues.map((issue) => describe(issue, set));
  // Checks that a schema of single variables can't make. They read the raw environment, so that all problems are reported together.
  const { TOKEN_SECRET, ROLE, REDIS_URL, CORS_ORIGINS = '*' } = set;
  const secrets = TOKEN_SECRET?.split(',').map((secret) => secret.trim()) ?? [];
  if (secrets.some((secret) => secret.length < SECRET_MIN_CHARS)) {
    problems.push(
      `TOKEN_SECRET must have at least ${SECRET_MIN_CHARS} characters (each, if several are given, separated by commas).`,
    );
  }
  if ((ROLE === 'gateway' || ROLE === 'store') && REDIS_URL === undefined) {
    problems.push(`ROLE=${ROLE} needs REDIS_URL: without Redis, one node does everything (ROLE=all).`);
  }
  const { data: { PORT, ADMIN_PORT } = {} } = portsSchema.safeParse(set);
  if (PORT === ADMIN_PORT && PORT !== undefined && PORT !== 0 && ROLE !== 'store') {
    problems.push(`PORT and ADMIN_PORT are both ${PORT}: operators need a port of their own.`);
  }
  const origins = CORS_ORIGINS === '*' ? '*' : CORS_ORIGINS.split(',').map((origin) => origin.trim());
  if (origins !== '*') {
    for (const origin of origins) {
      if (!isOrigin(origin)) {
        problems.push(
          `CORS_ORIGINS: '${origin}' is not an origin like https://chat.example.org (list each one; * alone stands for all).`,
        );
      }
    }
  }
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems);
  const env = parsed.data;
  const cores = os.availableParallelism();
  return {
    role: env.ROLE,
    http: {
      port: env.PORT,
      // Anyone who can reach an open server may pose as anyone. So it stays on this machine, unless told otherwise.
      host: env.HOST ?? (env.AUTH === 'open' ? '127.0.0.1' : '0.0.0.0'),
      // This keeps out web pages whose own name leads to this machine (DNS rebinding). Whoever sets HOST knows by which names it
      // is reached.
      localNamesOnly: env.AUTH === 'open' && env.HOST === undefined,
      corsOrigins: origins,
      trustProxy: env.TRUST_PROXY,
    },
    admin: {
      port: env.ADMIN_PORT,
      host: env.ADMIN_HOST,
      localNamesOnly: set['ADMIN_HOST'] === undefined,
      chosen: set['ADMIN_PORT'] !== undefined || set['ADMIN_HOST'] !== undefined,
    },
    database: { path: path.resolve(env.DATABASE_PATH) },
    bus: env.REDIS_URL === undefined ? { kind: 'ipc' } : { kind: 'redis', redis: env.REDIS_URL },
    gateways: env.ROLE === 'store' ? 0 : (env.WORKERS ?? Math.max(1, cores - 1)),
    readers: env.ROLE === 'gateway' ? 0 : cores > 4 ? 2 : 1,
    auth: env.AUTH === 'open' ? { mode: 'open' } : { mode: 'required', secrets, tokenTtlS: env.TOKEN_TTL },
    passwordMinLength: env.PASSWORD_MIN_LENGTH,
    rateLimits: env.RATE_LIMITS,
    logLevel: env.LOG_LEVEL,
    shutdownTimeoutMs: env.SHUTDOWN_TIMEOUT_MS,
  };
}

/** Whether a page can have this origin. Those of apps have their own schemes, such as `capacitor://localhost`. */
function isOrigin(text: string): boolean {
  // A pattern would be taken for a host with that name, which no page has.
  if (!URL.canParse(text) || text.includes('*')) return false;
  const { protocol, host } = new URL(text);
  return host !== '' && text === `${protocol}//${host}`;
}

function describe(issue: z.core.$ZodIssue, set: NodeJS.ProcessEnv): string {
  const name = String(issue.path[0]);
  // The value helps to find the mistake. A secret, or a URL that may hold a password, stays out of the log.
  const value = /SECRET|URL/.test(name) ? '' : ` (it is '${set[name]}')`;
  return `${name}: ${issue.message}${value}`;
}
