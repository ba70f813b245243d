import { constants, fstatSync, openSync } from 'node:fs';
import { type LoggerOptions, pino } from 'pino';

/**
 * `event` names what happened, in snake_case: operators search and count by it. `node` and `worker` identify the writer of each
 * line. Setting them again would give the line a duplicate key, which collectors refuse. A worker that the line is about goes in
 * `name`.
 */
type Fields = { readonly event: string; readonly node?: never; readonly worker?: never };
type Say = (fields: Fields & Readonly<Record<string, unknown>>, sentence: string) => void;

export type Logger = Readonly<Record<'debug' | 'info' | 'warn' | 'error' | 'fatal', Say>>;

/** Bytes of lines that may wait in memory until they can be written. Further lines are lost. */
const WAITING_MAX = 1024 * 1024;

/** At the end of the process, how long to wait for a reader that takes no lines, in milliseconds. */
const LAST_LINES_MS = 1_000;

/**
 * The destination of lines. A log with a full disk, a lost terminal or a stopped reader must neither end a process nor delay its
 * end. Logging continues once lines can be written again.
 */
function stdout(): ReturnType<typeof pino.destination> {
  let failing = false;
  let until = Number.POSITIVE_INFINITY;
  const lines = pino.destination({
    dest: endOf(process.stdout.fd),
    maxLength: WAITING_MAX,
    retryEAGAIN: () => performance.now() < until,
  });
  lines.on('error', () => {
    failing = true;
  });
  lines.on('write', () => {
    failing = false;
  });
  const { flushSync } = lines;
  // At the end of the process, pino's own flushSync would retry for ever.
  lines.flushSync = () => {
    if (failing) return;
    until = performance.now() + LAST_LINES_MS;
    try {
      flushSync.call(lines);
    } catch {
      // The lines are lost: there is nowhere left to say so.
    } finally {
      until = Number.POSITIVE_INFINITY;
    }
  };
  return lines;
}

/**
 * Opens a pipe anew, in non-blocking mode. The mode of the given descriptor is shared with other processes, and a process that is
 * blocked in a write can't be ended.
 */
function endOf(output: number): number {
  try {
    if (fstatSync(output).isFIFO())
      return openSync(`/proc/self/fd/${output}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    // Not possible on this system, or for this user.
  }
  return output;
}

/**
 * JSON lines on stdout, one per business event. Data goes in named fields, and messages are constant sentences. Never a password,
 * a token or a message text.
 */
export function createLogger(level: string, fields: Readonly<Record<string, unknown>>): Logger {
  const options: LoggerOptions = {
    level,
    base: fields,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    // Stacks only if somebody asked for detail.
    serializers: { err: (error) => described(error, level === 'debug' || level === 'trace') },
  };
  return pino(options, stdout());
}

/** Selects fields: a Redis error carries the arguments of its command, which may contain message texts. */
function described(error: unknown, withStack: boolean): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, stack, code } = error as Error & { code?: unknown };
  return { name, message, ...(code !== undefined && { code }), ...(withStack && { stack }) };
}
