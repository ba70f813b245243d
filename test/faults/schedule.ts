import type { FaultKind, Need } from './fault-kind.ts';
import type { Random } from './random.ts';

/** What a fault costs beyond its own time, about; for planning. */
const RECOVERY_MS = 2_000;

/** What is done next: one fault, or two at once, and how the time after it is spent. */
export type Slot = {
  kinds: readonly FaultKind[];
  /** How much later the second one comes, in milliseconds. */
  staggerMs: number;
  /** Do not wait until the system is well again before the next. */
  hasty: boolean;
  /** A quiet moment before the next, in milliseconds. */
  restMs: number;
};

export function applicable(
  kinds: readonly FaultKind[],
  have: ReadonlySet<Need>,
  only: readonly string[] | undefined,
): FaultKind[] {
  const unknown = only?.filter((name) => !kinds.some((kind) => kind.name === name)) ?? [];
  if (unknown.length > 0) {
    throw new Error(
      `no such fault: ${unknown.join(', ')}. There are ${kinds.map((kind) => kind.name).join(', ')}`,
    );
  }
  const found = kinds.filter(
    (kind) => kind.needs.every((need) => have.has(need)) && (only?.includes(kind.name) ?? true),
  );
  if (found.length === 0) throw new Error('none of these faults applies here');
  return found;
}

/**
 * Endless slots, from the seed alone. Kinds come in shuffled rounds, so that each is done about equally often; about one
 * slot in six combines two kinds of different groups, about one in five is followed by the next at once.
 */
export function* schedule(kinds: readonly FaultKind[], random: Random): Generator<Slot, never> {
  let bag: FaultKind[] = [];
  const draw = (fits: (kind: FaultKind) => boolean): FaultKind | undefined => {
    if (bag.length === 0) bag = shuffled(kinds, random);
    const i = bag.findIndex(fits);
    return i < 0 ? undefined : bag.splice(i, 1)[0];
  };
  for (;;) {
    const first = draw(() => true)!;
    const second = random.chance(1 / 6) ? draw((kind) => kind.group !== first.group) : undefined;
    yield {
      kinds: second === undefined ? [first] : [first, second],
      staggerMs: random.between(0, 800),
      hasty: random.chance(0.2),
      restMs: random.between(200, 1_200),
    };
  }
}

/** About how long so many faults will take, in milliseconds. */
export function expectedMs(kinds: readonly FaultKind[], faults: number): number {
  const lasts = kinds.reduce((sum, kind) => sum + kind.lastsMs, 0) / kinds.length;
  return faults * (lasts + RECOVERY_MS) * (6 / 7);
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}
