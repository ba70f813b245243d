import { z } from 'zod';
import { parseRedisUrl } from './redis-url.ts';

const NOT_WHOLE = 'must be a whole number';
const whole = (min: number, max: number) =>
  z.coerce
    .number(NOT_WHOLE)
    .pipe(z.int(NOT_WHOLE).min(min, `must be at least ${min}`).max(max, `must be at most ${max}`));
const port = whole(0, 65_535);
const text = z.string().min(1);

/** The environment's variables, trimmed, with defaults. One entry for each variable in the README's table. */
export const envSchema = z.object({
  PORT: port.default(8888),
  HOST: text.optional(),
  // SQLite's special names would be taken for files in the working folder.
  DATABASE_PATH: text
    .regex(/^(?!:memory:|file:)/, 'must be the path of a file: databases in memory and URLs are not known')
    .default('./chat.db'),
  REDIS_URL: z
    .string()
    .transform((url, { addIssue }) => {
      try {
        return parseRedisUrl(url);
      } catch (error) {
        addIssue((error as Error).message);
        return z.NEVER;
      }
    })
    .optional(),
  ROLE: z.enum(['all', 'gateway', 'store']).default('all'),
  WORKERS: whole(1, 256).optional(),
  AUTH: z.enum(['required', 'open']).default('required'),
  TOKEN_SECRET: text.optional(),
  TOKEN_TTL: whole(1, 10 * 365 * 24 * 3600).default(7 * 24 * 3600),
  CORS_ORIGINS: text.default('*'),
  TRUST_PROXY: z.stringbool().default(false),
  RATE_LIMITS: z.stringbool().default(true),
  PASSWORD_MIN_LENGTH: whole(1, 256).default(1),
  ADMIN_PORT: port.default(9464),
  ADMIN_HOST: text.default('127.0.0.1'),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  SHUTDOWN_TIMEOUT_MS: whole(0, 3_600_000).default(10_000),
});

/** The ports alone, so that a clash between them is reported whatever is wrong with the rest. */
export const portsSchema = envSchema.pick({ PORT: true, ADMIN_PORT: true });

export type Env = z.infer<typeof envSchema>;
