import type { AffectedPath, Arena, FaultKind } from './fault-kind.ts';
import type { ParleyNode } from './node.ts';
import { hasOpen, type Process, type Role, signal } from './processes.ts';

/* Faults of Parley's own processes: killed, frozen, asked to end. */

type Victim = { node: ParleyNode; process: Process };

function pickVictim(arena: Arena, role: Role): Victim | undefined {
  const { cluster, random } = arena;
  const victims = cluster.nodes.flatMap((node) => node.processes(role).map((process) => ({ node, process })));
  if (role === 'writer' && victims.length > 1 && random.chance(0.8)) {
    // Those that stand by do nothing: mostly, the one that leads is meant.
    const leading = victims.find(({ process }) => hasOpen(process, cluster.databasePath));
    if (leading !== undefined) return leading;
  }
  return victims.length === 0 ? undefined : random.pick(victims);
}

const nameOf = ({ node, process }: Victim): string =>
  `node ${node.number}, ${process.title} (${process.pid})`;

const pathOf = (role: Role, node: ParleyNode): AffectedPath => {
  if (role === 'gateway') return { kind: 'dropped', node: node.number };
  if (role === 'reader') return { kind: 'catch-up' };
  return role === 'writer' ? { kind: 'all' } : { kind: 'node', node: node.number };
};

const kill = (role: Exclude<Role, 'primary'>): FaultKind => ({
  name: `${role}-kill`,
  needs: [],
  group: role,
  lastsMs: 1_000,
  arm(arena) {
    const victim = pickVictim(arena, role);
    if (victim === undefined) return undefined;
    return {
      target: nameOf(victim),
      holdMs: 1_000,
      measureFrom: 'inject',
      path: pathOf(role, victim.node),
      returned: () =>
        victim.node
          .processes(role)
          .some((p) => p.title === victim.process.title && p.pid !== victim.process.pid),
      inject: () => {
        signal(victim.process, 'SIGKILL');
        // Without somebody who catches up, nobody would notice that the reader is gone.
        if (role === 'reader') for (let i = 0; i < 20; i++) setTimeout(() => arena.load.churn(1), i * 50);
      },
    };
  },
});

const freeze = (role: Role, seconds: number): FaultKind => ({
  name: `${role}-freeze-${seconds}s`,
  needs: [],
  group: role,
  lastsMs: seconds * 1_000,
  arm(arena) {
    const victim = pickVictim(arena, role);
    if (victim === undefined) return undefined;
    return {
      target: nameOf(victim),
      holdMs: seconds * 1_000,
      measureFrom: 'heal',
      path: role === 'gateway' ? { kind: 'node', node: victim.node.number } : pathOf(role, victim.node),
      inject: () => {
        signal(victim.process, 'SIGSTOP');
        if (role === 'reader') arena.load.churn(3);
      },
      heal: () => {
        signal(victim.process, 'SIGCONT');
        if (role === 'reader') arena.load.churn(1);
      },
    };
  },
});

/** A whole machine stands still for a while, as a virtual one does that is moved, and wakes as if nothing had been. */
const nodeFreeze: FaultKind = {
  name: 'node-freeze-10s',
  needs: [],
  group: 'primary',
  lastsMs: 10_000,
  arm({ cluster, random }) {
    const node = random.pick(cluster.nodes);
    let frozen: Process[] = [];
    return {
      target: `node ${node.number}, all its processes`,
      holdMs: 10_000,
      measureFrom: 'heal',
      path: { kind: 'node', node: node.number },
      inject: () => {
        frozen = node.processes();
        for (const process of frozen) signal(process, 'SIGSTOP');
      },
      heal: () => {
        for (const process of frozen) signal(process, 'SIGCONT');
      },
    };
  },
};

const primaryKill: FaultKind = {
  name: 'primary-kill',
  needs: [],
  group: 'primary',
  lastsMs: 2_000,
  arm({ cluster, random }) {
    const node = random.pick(cluster.nodes);
    return {
      target: `node ${node.number}, primary (${node.pid})`,
      holdMs: 1_000,
      measureFrom: 'inject',
      path: { kind: 'node', node: node.number },
      inject: () => node.killPrimary(),
    };
  },
};

/** `SHUTDOWN_TIMEOUT_MS` and a little. */
export const DRAIN_BOUND_MS = 13_000;

const nodeRestart: FaultKind = {
  name: 'node-restart',
  needs: [],
  group: 'primary',
  lastsMs: 4_000,
  arm({ cluster, random }) {
    const node = random.pick(cluster.nodes);
    return {
      target: `node ${node.number}`,
      holdMs: 0,
      measureFrom: 'heal',
      path: { kind: 'node', node: node.number },
      inject: () => restart(node),
    };
  },
};

const rollingRestart: FaultKind = {
  name: 'rolling-restart',
  needs: ['redis'],
  group: 'primary',
  lastsMs: 10_000,
  arm: ({ cluster }) => ({
    target: 'each node in turn',
    holdMs: 0,
    measureFrom: 'heal',
    path: { kind: 'all' },
    inject: async () => {
      for (const node of cluster.nodes) {
        await restart(node);
        await node.untilReady(20_000);
      }
    },
  }),
};

async function restart(node: ParleyNode): Promise<void> {
  const { tookMs, code } = await node.restart(DRAIN_BOUND_MS);
  if (code !== 0)
    node.complaints.push(`node ${node.number} ended with ${code} after SIGTERM, in ${Math.round(tookMs)} ms`);
}

export const PROCESS_FAULTS: readonly FaultKind[] = [
  kill('gateway'),
  kill('writer'),
  kill('reader'),
  primaryKill,
  freeze('gateway', 1),
  freeze('gateway', 10),
  freeze('writer', 1),
  // Longer than its lease, shorter than its primary's patience: it wakes up when another may have replaced it.
  freeze('writer', 4),
  freeze('writer', 10),
  freeze('reader', 1),
  freeze('reader', 10),
  freeze('primary', 1),
  freeze('primary', 10),
  nodeFreeze,
  nodeRestart,
  rollingRestart,
];
