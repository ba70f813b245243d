import { type LoggerOptions, pino } from 'pino';

/** `event` names what happened, in snake_case: operators search and count by it. */
type Say = (fields: { readonly event: string } & Readonly<Record<string, unknown>>, sentence: string) => void;

export type Logger = Readonly<Record<'debug' | 'info' | 'warn' | 'error' | 'fatal', Say>>;

/** Lines that can't be written yet wait in memory, up to so many bytes; those beyond are lost. */
const WAITING_MAX = 1024 * 1024;

/** Where lines go. A log whose disk is full, or whose terminal is gone, ends nobody; it goes on when it can be written again. */
function stdout(): ReturnType<typeof pino.destination> {
  const lines = pino.destination({ maxLength: WAITING_MAX });
  const { flushSync } = lines;
  // At the end of the process, pino's own would try again for ever.
  lines.on('error', () => {
    lines.flushSync = () => {};
  });
  lines.on('write', () => {
    lines.flushSync = flushSync;
  });
  return lines;
}

/**
 * JSON lines on stdout, one per business event. Fields are named, messages are constant sentences; never a
 * password, a token or a message text.
 */
export function createLogger(level: string, fields: Readonly<Record<string, unknown>>): Logger {
  const options: LoggerOptions = {
    level,
    base: fields,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    // Errors carry their message and code; stacks only where somebody asked for detail.
    serializers: { err: level === 'debug' || level === 'trace' ? pino.stdSerializers.err : briefError },
  };
  return pino(options, stdout());
}

function briefError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code } = error as { code?: unknown };
  return { name: error.name, message: error.message, ...(code !== undefined && { code }) };
}
