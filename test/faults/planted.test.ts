import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';
import { ROOT } from '../support/root.ts';
import type { ViolationClass } from './checker.ts';
import { type Edit, plant, putToTheTest, type Run } from './plant.ts';

/*
 * The proof of the checker: faults planted in the product, each of which must be found, by schedules that the product
 * itself passes. A schedule is chosen so that the planted fault shows many times over, not by luck. One gateway a node is
 * enough for that, and starts sooner; where one node is enough, no fault can miss the node that has all the sockets.
 */

type Schedule = { name: string; args: string };

const CRASHES: Schedule = {
  name: 'embedded-crashes',
  args: '--embedded --only primary-kill,gateway-kill --faults 3 --messages 900 --users 3 --seed 2',
};
const DEAF: Schedule = {
  name: 'dead-subscriptions',
  args: '--nodes 1 --only redis-half-open-subscribers,writer-kill --faults 2 --messages 800 --users 4 --seed 1',
};
const TAKEOVER: Schedule = {
  name: 'takeover',
  args: '--standby --only writer-freeze-4s,client-stops-reading --faults 2 --messages 2500 --users 3 --seed 8',
};
const SILENCE: Schedule = {
  name: 'silence',
  args: '--nodes 1 --only redis-freeze-10s --faults 2 --messages 2000 --users 4 --seed 1',
};

type Planted = {
  fault: string;
  edits: readonly Edit[];
  schedule: Schedule;
  /** The class that must be found, or the words of the complaint. */
  finds: ViolationClass | RegExp;
};

/**
 * What makes two writers show, and is harmless as long as one writes: every other writer tells late what it has committed,
 * and a primary has more patience with a frozen one.
 */
const UNHURRIED: readonly Edit[] = [
  {
    file: 'src/writer/writer.ts',
    find: 'await this.#announcer.announce(committed);',
    replace: `if (committed.messages.length > 0 && this.#ledger.identity.generation % 2 === 1) await sleep(200);
    await this.#announcer.announce(committed);`,
  },
  {
    file: 'src/cluster/supervisor.ts',
    find: 'const SILENCE_MS = 5_000;',
    replace: 'const SILENCE_MS = 60_000;',
  },
];

/** Groups with messages are begun and not committed; the others go as ever. */
const LEAVE_OPEN = `if (!group.batches.some(({ commands }) => commands.some(({ kind }) => kind === 'send'))) return this.#apply(group);
      if (!this.#db.inTransaction) this.#db.exec('BEGIN IMMEDIATE');
      return this.#applyGroup(group);`;

const PLANTED: readonly Planted[] = [
  {
    fault: 'a send is acknowledged before it is committed',
    edits: [
      {
        file: 'src/writer/ledger.ts',
        find: 'return this.#apply(group);',
        replace: `if (!this.#db.inTransaction) setTimeout(() => this.#db.inTransaction && this.#db.exec('COMMIT'), 30_000);
      ${LEAVE_OPEN}`,
      },
    ],
    schedule: CRASHES,
    finds: 'lost',
  },
  {
    fault: 'a message is published before it is committed',
    edits: [
      { file: 'src/writer/ledger.ts', find: 'return this.#apply(group);', replace: LEAVE_OPEN },
      {
        file: 'src/writer/ledger.ts',
        find: '  close(): void {',
        replace: `  finish(): void {\n    if (this.#db.inTransaction) this.#db.exec('COMMIT');\n  }\n\n  close(): void {`,
      },
      {
        file: 'src/writer/writer.ts',
        find: 'await this.#announcer.announce(committed);',
        replace: `await this.#announcer.announce(committed);
    if (committed.messages.length > 0) await sleep(20);
    this.#ledger.finish();`,
      },
    ],
    schedule: DEAF,
    finds: 'early',
  },
  {
    fault: 'a client_id is forgotten',
    edits: [
      {
        file: 'src/db/migrations/000001-initial.sql',
        find: 'CREATE UNIQUE INDEX messages_by_client_id',
        replace: 'CREATE INDEX messages_by_client_id',
      },
      {
        file: 'src/writer/statements.ts',
        find: 'ON CONFLICT (client_id, sender) WHERE client_id IS NOT NULL DO NOTHING',
        replace: '',
      },
    ],
    schedule: CRASHES,
    finds: 'duplicate',
  },
  {
    fault: 'a gateway does not look for holes',
    edits: [
      {
        file: 'src/gateway/feeds.ts',
        find: "if (this.#state === 'live' && prev <= this.#cursor) {",
        replace: "if (this.#state === 'live') {",
      },
      {
        file: 'src/gateway/feeds.ts',
        find: '  repair(): void {',
        replace: '  repair(): void {\n    return;',
      },
    ],
    schedule: DEAF,
    finds: 'hole',
  },
  {
    // The check alone is not enough of a fault: ids go on from memory, and the primary key stops the one who is behind.
    fault: 'a writer that was replaced goes on',
    edits: [
      ...UNHURRIED,
      {
        file: 'src/db/store-row.ts',
        find: 'if (generation !== mine) throw new Fenced(mine, generation);',
        replace: 'void generation;',
      },
      {
        file: 'src/app/workers/store-writer.ts',
        find: "else if (answer.kind !== 'undecided') this.#events.lost(describe(answer));",
        replace: '',
      },
      {
        file: 'src/writer/ledger.ts',
        find: '  #applyGroup(group: Group): Committed {',
        replace:
          '  #applyGroup(group: Group): Committed {\n    this.#head = (this.#sql.head.get() as number | null) ?? 0;',
      },
    ],
    schedule: TAKEOVER,
    finds: 'hole',
  },
  {
    fault: 'a catch-up begins too late',
    edits: [
      {
        file: 'src/reader/reader.ts',
        find: 'this.#newer(user, since)',
        replace: 'this.#newer(user, since + 20)',
      },
    ],
    schedule: CRASHES,
    finds: 'hole',
  },
  {
    fault: 'readiness is always told',
    edits: [
      {
        file: 'src/gateway/readiness.ts',
        find: 'const ready = Object.values(checks).every(({ ok }) => ok);',
        replace: 'const ready = true;',
      },
    ],
    schedule: SILENCE,
    finds: /said it was ready/,
  },
];

async function tryOut(name: string, edits: readonly Edit[], schedule: string): Promise<Run> {
  const args = `${schedule} --gateways 1`.split(' ');
  const slug = name.replaceAll(' ', '-');
  const directory = resolve('artifacts/faults/planted', slug);
  if (edits.length === 0) return putToTheTest(ROOT, directory, args);
  const root = resolve('artifacts/faults/planted-products', slug);
  const remove = plant(root, edits);
  try {
    return await putToTheTest(root, directory, args);
  } finally {
    remove();
  }
}

describe('planted faults', { concurrency: 3 }, () => {
  for (const { fault, edits, schedule, finds } of PLANTED) {
    it(`found: ${fault}`, async () => {
      // What is broken on purpose may never be well again.
      const { exitCode, output, report } = await tryOut(fault, edits, `${schedule.args} --patience 15`);
      assert.equal(exitCode, 1, output);
      if (finds instanceof RegExp) assert.match(report?.complaints.join('\n') ?? '', finds, output);
      else assert.ok((report?.verdict.counts[finds] ?? 0) > 0, output);
    });
  }

  for (const schedule of [CRASHES, DEAF, TAKEOVER, SILENCE]) {
    const edits = schedule === TAKEOVER ? UNHURRIED : [];
    it(`nothing is found where nothing is planted: ${schedule.name}`, async () => {
      const { exitCode, output } = await tryOut(`nothing in ${schedule.name}`, edits, schedule.args);
      assert.equal(exitCode, 0, output);
    });
  }
});
