import type { FaultKind } from './fault-kind.ts';
import { PROCESS_FAULTS } from './process-faults.ts';
import { REDIS_FAULTS } from './redis-faults.ts';

const diskFull: FaultKind = {
  name: 'disk-full',
  needs: ['small-disk'],
  group: 'disk',
  lastsMs: 6_000,
  arm: ({ cluster }) => ({
    target: 'the file system of the database',
    holdMs: 6_000,
    measureFrom: 'heal',
    path: { kind: 'all' },
    inject: () => cluster.volume.fill(),
    heal: () => cluster.volume.free(),
  }),
};

const stopsReading: FaultKind = {
  name: 'client-stops-reading',
  needs: [],
  group: 'client',
  lastsMs: 6_000,
  arm: ({ load }) => ({
    target: 'one user’s devices, under a flood',
    holdMs: 6_000,
    measureFrom: 'inject',
    path: { kind: 'all' },
    inject: () => load.floodPaused(6_000, 250),
  }),
};

export const FAULT_KINDS: readonly FaultKind[] = [...PROCESS_FAULTS, ...REDIS_FAULTS, diskFull, stopsReading];
