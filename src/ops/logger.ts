import { pino } from 'pino';

/** `event` names what happened, in snake_case: operators search and count by it. */
type Say = (fields: { readonly event: string } & Readonly<Record<string, unknown>>, sentence: string) => void;

export type Logger = Readonly<Record<'debug' | 'info' | 'warn' | 'error' | 'fatal', Say>>;

/**
 * JSON lines on stdout, one per business event. Fields are named, messages are constant sentences; never a
 * password, a token or a message text.
 */
export function createLogger(level: string, fields: Readonly<Record<string, unknown>>): Logger {
  return pino({
    level,
    base: fields,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    // Errors carry their message and code; stacks only where somebody asked for detail.
    serializers: { err: level === 'debug' || level === 'trace' ? pino.stdSerializers.err : briefError },
  });
}

function briefError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code } = error as { code?: unknown };
  return { name: error.name, message: error.message, ...(code !== undefined && { code }) };
}
