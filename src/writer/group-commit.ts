import type { LogEntry, Position } from '../core/bus.ts';
import type { CommandBatch } from '../core/commands.ts';

/**
 * Limits per transaction, in commands and in UTF-16 units of their entries: about 40 ms of work, so that nobody waits long for
 * it. Measured: committing 2,000 of the longest texts took 340 ms.
 */
export const COMMANDS_MAX = 2_000;
const UNITS_MAX = 1024 * 1024;

export type Group = {
  readonly batches: readonly CommandBatch[];
  /** Position of the last entry in the group. It is stored in the same transaction. */
  readonly position: Position;
};

/**
 * Splits entries of the log into transactions. Everything that arrived during the previous commit goes into one. So batches grow
 * with load by themselves, and no timer adds latency at rest. An entry is never split.
 *
 * @param onUnreadable gets entries that are not ours. They are skipped, since they would fail for ever.
 */
export function groupEntries(
  entries: readonly LogEntry[],
  onUnreadable: (entry: LogEntry, error: unknown) => void,
  commandsMax = COMMANDS_MAX,
): Group[] {
  const groups: Group[] = [];
  let batches: CommandBatch[] = [];
  let commands = 0;
  let units = 0;
  let position: Position | undefined;
  const close = (): void => {
    if (position !== undefined) groups.push({ batches, position });
    batches = [];
    commands = 0;
    units = 0;
    position = undefined;
  };
  for (const entry of entries) {
    let batch: CommandBatch | undefined;
    try {
      batch = asBatch(JSON.parse(entry.payload));
    } catch (error) {
      onUnreadable(entry, error);
    }
    const size = batch?.commands.length ?? 0;
    const length = batch === undefined ? 0 : entry.payload.length;
    if (commands > 0 && (commands + size > commandsMax || units + length > UNITS_MAX)) close();
    if (batch) batches.push(batch);
    commands += size;
    units += length;
    position = entry.position;
  }
  close();
  return groups;
}

/** @throws TypeError */
function asBatch(value: CommandBatch | null): CommandBatch {
  // Without a time, the writer would fail after its commit, and read the batch again and again.
  if (!Array.isArray(value?.commands) || !Number.isFinite(value.at))
    throw new TypeError('not a batch of commands');
  return value;
}
