import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CLASSES, check, type StoredMessage, type ViolationClass } from '../faults/checker.ts';
import { fingerprint, History, type HistoryEvent, type Protocol } from '../faults/history.ts';

/** A history written by hand: alice (two devices) and bob, and the rows of the database. */
class Planted {
  readonly history = new History(() => 0);
  readonly rows: StoredMessage[] = [];
  #sockets = 0;

  store(
    id: number,
    sender = 'alice',
    receiver = 'bob',
    clientId = `c${id}`,
    text = `text ${clientId}`,
  ): this {
    this.rows.push({ id, sender, receiver, text, clientId });
    return this;
  }

  invoke(id: number, user = 'alice', to = 'bob', clientId = `c${id}`): this {
    this.history.record({ kind: 'invoked', socket: 1, user, clientId, to, text: `text ${clientId}` });
    return this;
  }

  acknowledge(id: number, clientId = `c${id}`, user = 'alice', to = 'bob', repeat = false): this {
    const text = `text ${clientId}`;
    this.history.record({ kind: 'acknowledged', socket: 1, user, clientId, id, repeat, to, text });
    return this;
  }

  /** A message from alice to bob, sent, acknowledged and stored. */
  sent(...ids: number[]): this {
    for (const id of ids) this.invoke(id).store(id).acknowledge(id);
    return this;
  }

  open(device: string, since: number | null, head = 0, protocol: Protocol = 'full'): number {
    const socket = ++this.#sockets;
    const user = device.split('/')[0]!;
    this.history.record({ kind: 'opened', socket, device, user, node: 1, worker: '', protocol, since });
    if (protocol === 'full') {
      this.history.record({ kind: 'connected', socket, epoch: 'e', head, resync: false });
    }
    return socket;
  }

  page(socket: number, ids: number[], upto: number, more = false): this {
    this.deliver(socket, ids, 'page');
    this.history.record({ kind: 'page', socket, upto, more });
    return this;
  }

  deliver(socket: number, ids: number[], via: 'page' | 'live' = 'live'): this {
    for (const id of ids) {
      const row = this.rows.find((r) => r.id === id);
      const {
        sender: from,
        receiver: to,
        text,
        clientId,
      } = row ?? { sender: 'alice', receiver: 'bob', text: '?', clientId: '?' };
      this.history.record({ kind: 'delivered', socket, via, id, from, to, text, clientId: clientId! });
    }
    return this;
  }

  close(socket: number): this {
    this.history.record({ kind: 'closed', socket, code: 1006, reason: '' });
    return this;
  }

  quiesce(): this {
    this.history.record({ kind: 'quiesced' });
    return this;
  }

  /** Asserts that exactly these classes were found, with these counts. */
  finds(expected: Partial<Record<ViolationClass, number>>): void {
    const verdict = check(this.history.events, this.rows);
    const found = Object.fromEntries(Object.entries(verdict.counts).filter(([, count]) => count > 0));
    assert.deepEqual(found, expected, JSON.stringify(verdict.samples, null, 1));
    assert.equal(verdict.ok, Object.keys(expected).length === 0);
  }
}

test('a correct history has no violations', () => {
  const plan = new Planted().sent(1, 2, 3, 4, 5);
  const live = plan.open('bob/1', null, 0);
  plan.deliver(live, [1, 2]).close(live);
  const resumed = plan.open('bob/1', 2, 4);
  plan.page(resumed, [3], 3, true).page(resumed, [4], 4).deliver(resumed, [5]);
  const basic = plan.open('bob/2', null, 0, 'basic');
  plan.deliver(basic, [4, 5]).quiesce().finds({});
});

test('lost: acknowledged and not stored', () => {
  new Planted().invoke(1).acknowledge(1).finds({ lost: 1 });
});

test('lost: acknowledged, and the id holds another message', () => {
  new Planted().sent(2).invoke(1).acknowledge(2, 'c1').finds({ lost: 1 });
});

test('lost: acknowledged with another text or receiver than was sent', () => {
  new Planted().invoke(1).store(1).acknowledge(1, 'c1', 'alice', 'carol').finds({ lost: 1 });
});

test('lost: a repeat is answered with an id that is not stored', () => {
  new Planted().sent(1).acknowledge(9, 'c1', 'alice', 'bob', true).finds({ lost: 1, duplicate: 1 });
});

test('duplicate: the same client_id stored twice', () => {
  new Planted().sent(1).store(2, 'alice', 'bob', 'c1').finds({ duplicate: 1 });
});

test('the same client_id of two senders is no duplicate', () => {
  const plan = new Planted().sent(1).invoke(2, 'bob', 'alice', 'c1').store(2, 'bob', 'alice', 'c1');
  plan.acknowledge(2, 'c1', 'bob', 'alice').finds({});
});

test('duplicate: acknowledged under two ids', () => {
  new Planted().sent(1).store(2, 'alice', 'bob', 'c1').acknowledge(2, 'c1').finds({ duplicate: 2 });
});

test('duplicate: delivered twice to one socket', () => {
  const plan = new Planted().sent(1, 2);
  plan.deliver(plan.open('bob/1', null), [1, 2, 1]).finds({ duplicate: 1 });
});

test('duplicate: delivered again across a resume', () => {
  const plan = new Planted().sent(1, 2);
  const first = plan.open('bob/1', null);
  plan.deliver(first, [1, 2]).close(first);
  const second = plan.open('bob/1', 2, 2);
  plan.page(second, [], 2).deliver(second, [2]).finds({ duplicate: 1 });
});

test('a device that asks again for what it had gets it again without blame', () => {
  const plan = new Planted().sent(1, 2);
  const first = plan.open('bob/1', null);
  plan.deliver(first, [1, 2]).close(first);
  plan.page(plan.open('bob/1', 0, 2), [1, 2], 2).finds({});
});

test('phantom: delivered and not stored', () => {
  const plan = new Planted().sent(1);
  plan.deliver(plan.open('bob/1', null), [1, 7]).finds({ phantom: 1 });
});

test('phantom: delivered with other content than is stored', () => {
  const plan = new Planted().sent(1);
  const socket = plan.open('bob/1', null);
  const event = { kind: 'delivered', socket, via: 'live', id: 1, from: 'alice', to: 'bob' } as const;
  plan.history.record({ ...event, text: 'other', clientId: 'c1' });
  plan.finds({ phantom: 1 });
});

test('phantom: stored and never sent', () => {
  new Planted().store(1).finds({ phantom: 1 });
});

test('phantom and refused: stored although it was refused', () => {
  const plan = new Planted().invoke(1).store(1);
  const failed = { kind: 'failed', socket: 1, user: 'alice', clientId: 'c1', final: true } as const;
  plan.history.record({ ...failed, code: 'invalid_message' });
  plan.finds({ phantom: 1, refused: 1 });
});

test('early: received before it was stored', () => {
  const plan = new Planted().sent(1);
  const socket = plan.open('bob/1', null);
  plan.deliver(socket, [1]).history.record({ kind: 'peeked', socket, id: 1, stored: false });
  plan.finds({ early: 1 });
});

test('reordered: an older id after a newer one', () => {
  const plan = new Planted().sent(1, 2, 3);
  plan.deliver(plan.open('bob/1', null), [1, 3, 2]).finds({ reordered: 1 });
});

test('reordered: a live message at or below the head it began at', () => {
  const plan = new Planted().sent(1, 2);
  plan.deliver(plan.open('bob/1', null, 1), [1, 2]).finds({ reordered: 1 });
});

test('reordered: a live message between the pages', () => {
  const plan = new Planted().sent(1, 2, 3);
  const socket = plan.open('bob/1', 0, 2);
  plan.page(socket, [1], 1, true).deliver(socket, [3]).page(socket, [2], 2).finds({ reordered: 1 });
});

test('misdelivered: to a user who is neither sender nor receiver', () => {
  const plan = new Planted().sent(1);
  plan.deliver(plan.open('carol/1', null), [1]).finds({ misdelivered: 1 });
});

test('hole: an earlier message is missing from a live stream', () => {
  const plan = new Planted().sent(1, 2, 3);
  plan.deliver(plan.open('bob/1', null), [1, 3]).finds({ hole: 1 });
});

test('hole: a message is missing from a page', () => {
  const plan = new Planted().sent(1, 2, 3);
  plan.page(plan.open('bob/1', 0, 3), [1, 3], 3).finds({ hole: 1 });
});

test('hole: an empty last page beyond stored messages', () => {
  const plan = new Planted().sent(1, 2);
  plan.page(plan.open('bob/1', 0, 2), [], 2).finds({ hole: 2 });
});

test('hole: between the last page and the live stream', () => {
  const plan = new Planted().sent(1, 2, 3);
  const socket = plan.open('bob/1', 0, 1);
  plan.page(socket, [1], 1).deliver(socket, [3]).finds({ hole: 1 });
});

test('hole: the last event before silence, on a socket that stays open', () => {
  const plan = new Planted().sent(1, 2);
  plan.deliver(plan.open('bob/1', null), [1]).quiesce().finds({ hole: 1 });
});

test('hole: a basic socket from its first message on', () => {
  const plan = new Planted().sent(1, 2, 3, 4);
  plan.deliver(plan.open('bob/1', null, 0, 'basic'), [2, 4]).finds({ hole: 1 });
});

test('a socket that closed early claims nothing beyond what it had', () => {
  const plan = new Planted().sent(1, 2, 3);
  const socket = plan.open('bob/1', null);
  plan.deliver(socket, [1]).close(socket).quiesce().finds({});
});

test('refused: a valid client turned away', () => {
  const plan = new Planted();
  const failed = { kind: 'failed', socket: 1, user: 'alice', clientId: null, final: true } as const;
  plan.history.record({ ...failed, code: 'token_revoked' });
  plan.finds({ refused: 1 });
});

test('resync: a client is told that its history is of another past', () => {
  const plan = new Planted();
  plan.history.record({
    kind: 'opened',
    socket: 9,
    device: 'bob/1',
    user: 'bob',
    node: 1,
    worker: '',
    protocol: 'full',
    since: 3,
  });
  plan.history.record({ kind: 'connected', socket: 9, epoch: 'f', head: 0, resync: true });
  plan.finds({ resync: 1 });
});

test('unsettled: a send without an outcome', () => {
  new Planted().invoke(1).store(1).finds({ unsettled: 1 });
});

test('unsettled: a client that never came back', () => {
  const plan = new Planted();
  plan.history.record({ kind: 'stuck', device: 'bob/1', what: 'not connected' });
  plan.finds({ unsettled: 1 });
});

test('a long text is compared by length and hash', () => {
  const long = 'x'.repeat(5000);
  assert.equal(fingerprint('short'), 'short');
  assert.equal(fingerprint(long), fingerprint('x'.repeat(5000)));
  assert.notEqual(fingerprint(long), fingerprint(`${'x'.repeat(4999)}y`));
  assert.ok(fingerprint(long).length < 100);
});

// ---- properties ------------------------------------------------------------------------------------------------

const USERS = ['alice', 'bob', 'carol', 'dave'];

/** A right server's history: sends by anyone to anyone, devices that come, go and resume, at any moment. */
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      from: fc.nat(3),
      to: fc.nat(3),
      again: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('open' as const),
      user: fc.nat(3),
      device: fc.nat(1),
      back: fc.nat(5),
      fresh: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('close' as const), user: fc.nat(3), device: fc.nat(1) }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function correct(steps: readonly Step[]): Planted {
  const plan = new Planted();
  const open = new Map<string, number>();
  const claims = new Map<string, number>();
  const mine = (user: string, above: number): number[] =>
    plan.rows
      .filter((row) => (row.sender === user || row.receiver === user) && row.id > above)
      .map((row) => row.id);
  let head = 0;
  for (const s of steps) {
    if (s.do === 'send') {
      const [from, to] = [USERS[s.from]!, USERS[s.to]!];
      head += 1 + (s.from % 2);
      const clientId = `c${head}`;
      plan.invoke(head, from, to, clientId);
      if (s.again) plan.invoke(head, from, to, clientId);
      plan.store(head, from, to, clientId);
      for (const [device, socket] of open) {
        const user = device.split('/')[0]!;
        if (user !== from && user !== to) continue;
        plan.deliver(socket, [head]);
        claims.set(device, head);
      }
      plan.acknowledge(head, clientId, from, to);
      if (s.again) plan.acknowledge(head, clientId, from, to, true);
      continue;
    }
    const user = USERS[s.user]!;
    const device = `${user}/${s.device}`;
    const socket = open.get(device);
    if (socket !== undefined) plan.close(socket);
    open.delete(device);
    if (s.do === 'close') continue;
    const claim = claims.get(device);
    if (claim === undefined || s.fresh) {
      open.set(device, plan.open(device, null, head));
      claims.set(device, head);
    } else {
      const since = Math.max(0, claim - s.back);
      const resumed = plan.open(device, since, head);
      const ids = mine(user, since);
      const half = ids.slice(0, ids.length >> 1);
      if (half.length > 0) plan.page(resumed, half, half.at(-1)!, true);
      plan.page(resumed, ids.slice(half.length), head);
      open.set(device, resumed);
      claims.set(device, head);
    }
  }
  return plan.quiesce();
}

test('property: a correct history has no violations, whatever happened in it', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const plan = correct(steps);
      const verdict = check(plan.history.events, plan.rows);
      assert.ok(verdict.ok, JSON.stringify(verdict.samples));
    }),
    { numRuns: 500 },
  );
});

/** One wrong at index `n` of the events it applies to; undefined when the history offers no place for it. */
const WRONGS: Record<
  string,
  { found: ViolationClass; plant(events: HistoryEvent[], rows: StoredMessage[], n: number): boolean }
> = {
  'a stored message vanishes': {
    found: 'lost',
    plant: (_, rows, n) => rows.length > 0 && rows.splice(n % rows.length, 1).length > 0,
  },
  'a message is stored twice': {
    found: 'duplicate',
    plant: (_, rows, n) => {
      if (rows.length === 0) return false;
      return rows.push({ ...rows[n % rows.length]!, id: 1_000_000 }) > 0;
    },
  },
  'a delivery is left out': {
    found: 'hole',
    plant: (events, _, n) => {
      const places = events.flatMap((e, i) =>
        e.kind === 'delivered' && isClaimedLater(events, i) ? [i] : [],
      );
      if (places.length === 0) return false;
      return events.splice(places[n % places.length]!, 1).length > 0;
    },
  },
  'a delivery comes twice': {
    found: 'duplicate',
    plant: (events, _, n) => {
      const places = events.flatMap((e, i) => (e.kind === 'delivered' ? [i] : []));
      if (places.length === 0) return false;
      const at = places[n % places.length]!;
      return events.splice(at, 0, events[at]!).length === 0;
    },
  },
  'a delivery goes to somebody else': {
    found: 'misdelivered',
    plant: (events, _, n) => {
      const places = events.flatMap((e, i) => (e.kind === 'delivered' ? [i] : []));
      const opened = events.filter((e) => e.kind === 'opened');
      for (const at of places.slice(n % (places.length || 1))) {
        const event = events[at]!;
        if (event.kind !== 'delivered') continue;
        const other = opened.find(
          (o) =>
            o.user !== event.from &&
            o.user !== event.to &&
            events.indexOf(o) < at &&
            !isClosed(events, o.socket, at),
        );
        if (other === undefined) continue;
        events.splice(at, 0, { ...event, socket: other.socket });
        return true;
      }
      return false;
    },
  },
  'an acknowledgement names no stored message': {
    found: 'lost',
    plant: (events, _, n) => {
      const places = events.flatMap((e, i) => (e.kind === 'acknowledged' ? [i] : []));
      if (places.length === 0) return false;
      const at = places[n % places.length]!;
      const event = events[at]!;
      if (event.kind === 'acknowledged') events[at] = { ...event, id: 2_000_000 };
      return true;
    },
  },
};

const isClosed = (events: readonly HistoryEvent[], socket: number, before: number): boolean =>
  events.some((e, i) => i < before && e.kind === 'closed' && e.socket === socket);

/** Whether the socket of the delivery at `index` goes on to claim that it has it. */
function isClaimedLater(events: readonly HistoryEvent[], index: number): boolean {
  const event = events[index]!;
  if (event.kind !== 'delivered') return false;
  const later = events.slice(index + 1).filter((e) => 'socket' in e && e.socket === event.socket);
  return (
    later.every((e) => e.kind !== 'closed') || later.some((e) => e.kind === 'delivered' || e.kind === 'page')
  );
}

for (const [name, wrong] of Object.entries(WRONGS)) {
  test(`property: ${name}: found as ${wrong.found}`, () => {
    assert.ok(wrong.found in CLASSES);
    let planted = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), fc.nat(), (steps, n) => {
        const plan = correct(steps);
        const [events, rows] = [[...plan.history.events], [...plan.rows]];
        if (!wrong.plant(events, rows, n)) return;
        planted++;
        assert.ok(check(events, rows).counts[wrong.found] > 0);
      }),
      { numRuns: 200 },
    );
    assert.ok(planted > 100, `planted only ${planted} times`);
  });
}
