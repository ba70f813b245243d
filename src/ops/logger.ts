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
    // Stacks only where somebody asked for detail.
    serializers: { err: (error) => described(error, level === 'debug' || level === 'trace') },
  };
  return pino(options, stdout());
}

/** Not all fields: an error of Redis carries the arguments of its command, in which there may be texts. */
function described(error: unknown, withStack: boolean): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, stack, code } = error as Error & { code?: unknown };
  return { name, message, ...(code !== undefined && { code }), ...(withStack && { stack }) };
}
