import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { migrate } from '../../src/db/migrate.ts';
import { Fenced } from '../../src/db/store-row.ts';
import { Reader } from '../../src/reader/reader.ts';
import { Announcer } from '../../src/writer/announcer.ts';
import { groupEntries } from '../../src/writer/group-commit.ts';
import { Ledger } from '../../src/writer/ledger.ts';
import { type FakeClient, GatewayFixture } from '../support/gateway-fixture.ts';
import { commit, register } from '../support/ledger.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { type AppendFate, ScriptedBus, type ScriptedPort, settle } from '../support/scripted-bus.ts';

/*
 * The path of a message with the server's own parts (sessions, feeds, command sender, group commit, ledger, announcer,
 * reader) on a bus that loses, repeats and delays, and with a writer that dies at every point there is. At every step:
 *
 *   G1  nobody has a message that is not committed, or other than it is committed
 *   G2  a client_id is stored once
 *   G3  what a socket has is a prefix of its user's messages from where it began: in order, each once, none left out
 *   G4  the same for a socket that resumes, from its `since`
 *
 * And once the faults are over, every socket has everything, and every send was answered.
 */

const CRASH_POINTS = [
  'before the commit',
  'after the commit',
  'in the middle of publishing',
  'before the trim',
] as const;
type CrashPoint = (typeof CRASH_POINTS)[number];

const USERS = ['ann', 'bob'] as const;

type Step =
  | { do: 'open'; gateway: number; user: string; resume: 'not' | 'from the start' | 'from the last' }
  | { do: 'close'; client: number }
  | { do: 'send'; client: number; to: string; again: boolean }
  | { do: 'append'; fate: AppendFate }
  | { do: 'write'; crash: CrashPoint | undefined }
  | { do: 'write, and lose the connection'; after: number }
  | { do: 'deliver'; gateway: number; count: number }
  | { do: 'lose'; gateway: number; count: number; noticed: boolean }
  | { do: 'beat' }
  | { do: 'late words of a replaced writer' }
  | { do: 'store'; gateway: number; down: boolean }
  | { do: 'wait'; ms: number };

const gateway = fc.nat(1);
const client = fc.nat(7);
const user = fc.constantFrom(...USERS);
const count = fc.integer({ min: 1, max: 4 });
const arbitrary = <D extends Step['do']>(
  weight: number,
  kind: D,
  fields: { [F in keyof Omit<Extract<Step, { do: D }>, 'do'>]: fc.Arbitrary<Extract<Step, { do: D }>[F]> },
) => ({
  weight,
  arbitrary: fc.record({ do: fc.constant(kind), ...fields }) as unknown as fc.Arbitrary<Step>,
});

const step: fc.Arbitrary<Step> = fc.oneof(
  arbitrary(4, 'open', { gateway, user, resume: fc.constantFrom('not', 'from the start', 'from the last') }),
  arbitrary(1, 'close', { client }),
  arbitrary(10, 'send', { client, to: user, again: fc.boolean() }),
  arbitrary(2, 'append', { fate: fc.constantFrom('lost', 'twice', 'unknown') }),
  arbitrary(7, 'write', { crash: fc.constant(undefined) }),
  arbitrary(3, 'write', { crash: fc.constantFrom(...CRASH_POINTS) }),
  arbitrary(1, 'write, and lose the connection', { after: fc.nat(3) }),
  arbitrary(7, 'deliver', { gateway, count }),
  arbitrary(3, 'lose', { gateway, count, noticed: fc.boolean() }),
  arbitrary(2, 'beat', {}),
  arbitrary(1, 'late words of a replaced writer', {}),
  arbitrary(1, 'store', { gateway, down: fc.boolean() }),
  arbitrary(3, 'wait', { ms: fc.constantFrom(25, 500, 4_000) }),
);

type WriterLife = { readonly port: ScriptedPort; readonly ledger: Ledger; readonly announcer: Announcer };
type Row = { id: number; sender: string; receiver: string; message: string; client_id: string };
type Sent = { readonly client: FakeClient; readonly id: string };

class World {
  readonly bus = new ScriptedBus();
  readonly clock = new ManualClock();
  readonly db = new Database(':memory:');
  readonly clients: FakeClient[] = [];
  readonly sent: Sent[] = [];
  gateways: GatewayFixture[] = [];
  writer!: WriterLife;
  replaced: WriterLife | undefined;
  #sends = 0;

  async start(): Promise<void> {
    await migrate(this.db, async () => '');
    this.newWriter();
    const users = USERS.map((one) => register(one));
    commit(this.writer.ledger, users, '0');
    this.newWriter();
    const reader = new Reader(this.db);
    this.gateways = ['g1', 'g2'].map((name) => new GatewayFixture(name, this.bus.port(), this.clock, reader));
    for (const one of this.gateways) await one.start();
    // The first beat makes a gateway look into the store for everybody: it would hide what later ones must find.
    this.writer.announcer.beat({ ok: true });
    for (const one of this.gateways) one.port.deliver();
    await settle(3);
  }

  newWriter(): void {
    this.replaced = this.writer;
    const port = this.bus.port();
    const ledger = new Ledger(this.db, (error) => assert.fail(String(error)));
    this.writer = { port, ledger, announcer: new Announcer(port, ledger.identity.epoch, ledger.head) };
  }

  async write(crash: CrashPoint | undefined, publishable = Number.POSITIVE_INFINITY): Promise<void> {
    const { port, ledger, announcer } = this.writer;
    const entries = await port.read(ledger.position, 3);
    const groups = groupEntries(entries, (_, error) => assert.fail(String(error)), 3);
    for (const group of groups) {
      if (crash === 'before the commit') return this.newWriter();
      const committed = ledger.commit(group);
      if (crash === 'after the commit') return this.newWriter();
      port.publishable = crash === 'in the middle of publishing' ? 1 : publishable;
      await announcer.announce(committed);
      await announcer.settled();
      if (crash === 'in the middle of publishing') return this.newWriter();
      port.publishable = Number.POSITIVE_INFINITY;
    }
    if (crash === 'before the trim') return this.newWriter();
    if (ledger.position !== undefined) await port.trim(ledger.position);
  }

  async run(it: Step): Promise<void> {
    const at = 'gateway' in it ? (this.gateways[it.gateway] as GatewayFixture) : undefined;
    const who = 'client' in it ? this.clients[it.client % Math.max(1, this.clients.length)] : undefined;
    switch (it.do) {
      case 'open': {
        const last = this.clients.findLast((one) => one.user === it.user)?.messages.at(-1)?.id ?? 0;
        const since = it.resume === 'not' ? undefined : it.resume === 'from the start' ? 0 : last;
        if (at) this.clients.push(at.open(it.user, since));
        break;
      }
      case 'close':
        who?.ws.close(1000);
        break;
      case 'send': {
        if (who === undefined || !who.open) break;
        // Again: what somebody of this user sent before, with all that belongs to it, as a client does.
        const before = this.sent.findLast(({ client: one }) => one.user === who.user);
        const fresh = `${++this.#sends}>${it.to}`;
        const id = it.again && before !== undefined ? before.id : fresh;
        who.send({ type: 'message', to: id.split('>')[1], message: `text of ${id}`, client_id: id });
        this.sent.push({ client: who, id });
        break;
      }
      case 'append':
        this.bus.fates.push(it.fate);
        break;
      case 'write':
        await this.write(it.crash);
        break;
      case 'write, and lose the connection':
        await this.write(undefined, it.after);
        break;
      case 'deliver':
        at?.port.deliver(it.count);
        break;
      case 'lose':
        at?.port.lose(it.count);
        if (it.noticed) at?.port.gap();
        break;
      case 'beat':
        this.writer.announcer.beat({ ok: true });
        break;
      case 'late words of a replaced writer': {
        if (this.replaced === undefined) break;
        const { ledger, announcer } = this.replaced;
        assert.throws(() => ledger.commit({ batches: [], position: '999999' }), Fenced, 'G7');
        announcer.beat({ ok: true });
        break;
      }
      case 'store':
        if (at) at.storeDown = it.down;
        break;
      case 'wait':
        this.pass(it.ms);
    }
    await settle(3);
  }

  pass(ms: number): void {
    this.clock.advance(ms);
    mock.timers.tick(ms);
  }

  check(): void {
    const rows = this.db.prepare('SELECT * FROM messages ORDER BY id').all() as Row[];
    const ids = rows.map(({ sender, client_id }) => `${sender} ${client_id}`);
    assert.equal(new Set(ids).size, ids.length, 'G2: stored twice');
    for (const { user: me, messages, start } of this.clients) {
      if (start === undefined) {
        assert.deepEqual(messages, [], 'a message before connected');
        continue;
      }
      const stream = rows.filter(
        ({ id, sender, receiver }) => id > start && (sender === me || receiver === me),
      );
      assert.deepEqual(
        messages.map(({ id, from, to, message, client_id }) => [id, from, to, message, client_id]),
        stream
          .slice(0, messages.length)
          .map((row) => [row.id, row.sender, row.receiver, row.message, row.client_id]),
        `G1, G3, G4: ${me}'s stream from ${start} of ${rows.length}`,
      );
    }
    for (const { failures } of this.gateways) assert.deepEqual(failures, []);
  }

  /** Faults are over: everything arrives, and is answered. */
  async heal(): Promise<void> {
    this.bus.fates.length = 0;
    for (const one of this.gateways) one.storeDown = false;
    for (let rounds = 0; rounds < 16; rounds++) {
      await this.write(undefined);
      this.writer.announcer.beat({ ok: true });
      for (const one of this.gateways) one.port.deliver();
      await settle(3);
      this.pass(500);
      await settle(3);
      this.check();
    }
    const rows = this.db.prepare('SELECT * FROM messages ORDER BY id').all() as Row[];
    for (const one of this.clients.filter(({ open }) => open)) {
      const { messages, start, user: me } = one;
      assert.notEqual(start, undefined, `${me} was never connected`);
      const all = rows.filter(
        ({ id, sender, receiver }) => id > (start ?? 0) && (sender === me || receiver === me),
      );
      assert.equal(messages.length, all.length, `G5: ${me} has not got everything`);
    }
    for (const { client: by, id } of this.sent.filter((one) => one.client.open)) {
      const answered =
        by.messages.some((m) => m.client_id === id) ||
        by.ws.frames.some((frame) => frame['client_id'] === id);
      assert.ok(answered, `M1: ${by.user}'s send ${id} was never answered`);
    }
    for (const one of this.gateways) assert.equal(one.commands.unsettled, 0);
  }
}

async function play(steps: readonly Step[]): Promise<void> {
  mock.timers.enable({ apis: ['setTimeout'] });
  const world = new World();
  try {
    await world.start();
    for (const it of steps) {
      await world.run(it);
      world.check();
    }
    await world.heal();
  } finally {
    mock.timers.reset();
    world.db.close();
  }
}

test('G1–G5: whatever the bus loses, repeats or delays, and wherever the writer dies', {
  timeout: 60_000,
}, async (t) => {
  // fast-check's own limit would leave a run in the middle, with its timers.
  const end = performance.now() + 25_000;
  let played = 0;
  const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
    if (performance.now() > end) return;
    await play(steps);
    played++;
  });
  await fc.assert(property, { numRuns: Number(process.env['MODEL_RUNS'] ?? 300) });
  t.diagnostic(`${played} runs`);
  assert.ok(played > 0);
});

const conversation: readonly Step[] = [
  { do: 'open', gateway: 0, user: 'ann', resume: 'not' },
  { do: 'open', gateway: 1, user: 'bob', resume: 'not' },
  { do: 'send', client: 0, to: 'bob', again: false },
  { do: 'write', crash: undefined },
];
const named: Readonly<Record<string, readonly Step[]>> = {
  'G5: the last event before silence is lost, and its result as well': [
    ...conversation,
    { do: 'lose', gateway: 0, count: 9, noticed: false },
    { do: 'lose', gateway: 1, count: 9, noticed: false },
  ],
  'G5: an event and the beat after it are lost': [
    ...conversation,
    { do: 'beat' },
    { do: 'lose', gateway: 1, count: 9, noticed: false },
  ],
  'G4: a socket resumes beyond what the feed it joins has heard': [
    ...conversation,
    { do: 'open', gateway: 1, user: 'bob', resume: 'from the start' },
    { do: 'deliver', gateway: 1, count: 9 },
  ],
  'G4: a message is committed while a socket resumes': [
    ...conversation,
    { do: 'open', gateway: 0, user: 'bob', resume: 'from the start' },
    { do: 'send', client: 2, to: 'bob', again: false },
    { do: 'write', crash: undefined },
    { do: 'deliver', gateway: 0, count: 9 },
  ],
  'G6: a socket closes while its hole can not be filled': [
    ...conversation,
    { do: 'lose', gateway: 1, count: 1, noticed: false },
    { do: 'send', client: 0, to: 'bob', again: false },
    { do: 'write', crash: undefined },
    { do: 'store', gateway: 1, down: true },
    { do: 'deliver', gateway: 1, count: 9 },
    { do: 'close', client: 1 },
    { do: 'wait', ms: 500 },
    { do: 'open', gateway: 1, user: 'bob', resume: 'from the last' },
  ],
  'M3: a batch arrives twice, and its first result is lost': [
    { do: 'append', fate: 'twice' },
    ...conversation.slice(0, 3),
    { do: 'write', crash: undefined },
    { do: 'lose', gateway: 0, count: 1, noticed: false },
    { do: 'send', client: 0, to: 'bob', again: true },
  ],
};
for (const [name, steps] of Object.entries(named)) test(name, () => play(steps));

for (const crash of CRASH_POINTS) {
  for (const noticed of [false, true]) {
    test(`G1–G4: the writer dies ${crash}${noticed ? ', and the gateway loses its subscription as well' : ''}`, async () => {
      await play([
        { do: 'open', gateway: 0, user: 'ann', resume: 'not' },
        { do: 'open', gateway: 1, user: 'bob', resume: 'from the start' },
        { do: 'send', client: 0, to: 'bob', again: false },
        { do: 'send', client: 1, to: 'ann', again: false },
        { do: 'write', crash },
        ...(noticed ? [{ do: 'lose', gateway: 1, count: 9, noticed } as const] : []),
        { do: 'send', client: 0, to: 'bob', again: true },
        { do: 'write', crash: undefined },
        { do: 'deliver', gateway: 0, count: 9 },
        { do: 'open', gateway: 1, user: 'ann', resume: 'from the last' },
        { do: 'wait', ms: 4_000 },
      ]);
    });
  }
}
