import { constants, fstatSync, openSync } from 'node:fs';
import { type LoggerOptions, pino } from 'pino';

/**
 * `event` names what happened, in snake_case: operators search and count by it. `node` and `worker` are who says it, on each
 * line: pino would write a second one beside it, and collectors refuse a line that has a key twice. A worker that is spoken of
 * is `name`.
 */
type Fields = { readonly event: string; readonly node?: never; readonly worker?: never };
type Say = (fields: Fields & Readonly<Record<string, unknown>>, sentence: string) => void;

export type Logger = Readonly<Record<'debug' | 'info' | 'warn' | 'error' | 'fatal', Say>>;

/** Lines that can't be written yet wait in memory, up to so many bytes; those beyond are lost. */
const WAITING_MAX = 1024 * 1024;

/** At the end of the process, lines are waited for so long whose reader takes none, in milliseconds. */
const LAST_LINES_MS = 1_000;

/**
 * Where lines go. A log whose disk is full, whose terminal is gone or whose reader has stopped ends nobody, and holds up nobody's
 * end; it goes on when it can be written again.
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
  // At the end of the process, pino's own would try for ever.
  lines.flushSync = () => {
    if (failing) return;
    until = performance.now() + LAST_LINES_MS;
    try {
      flushSync.call(lines);
    } catch {
      // They are lost: there is nowhere left to say so.
    } finally {
      until = Number.POSITIVE_INFINITY;
    }
  };
  return lines;
}

/**
 * An end of its own to a pipe, one that never blocks: whether the given one does is up to all processes that share it, and what
 * waits in a write can't be ended.
 */
function endOf(output: number): number {
  try {
    if (fstatSync(output).isFIFO())
      return openSync(`/proc/self/fd/${output}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    // Not on this system, or not for this user.
  }
  return output;
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
