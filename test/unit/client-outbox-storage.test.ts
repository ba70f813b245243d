import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ClientOptions, type KeyValueStorage, memoryStorage } from '../../src/client/index.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { echo, refusal, sends, start, tick } from '../support/outbox-fixture.ts';

/** An asynchronous storage. What is asked of it while it is held waits for the release. */
function slowStorage(entries: Map<string, string>) {
  const memory = memoryStorage(entries);
  const gates = { getItem: Promise.resolve(), removeItem: Promise.resolve() };
  const storage: KeyValueStorage = {
    getItem: async (key) => {
      const value = memory.getItem(key);
      await gates.getItem;
      return value;
    },
    setItem: async (key, value) => memory.setItem(key, value),
    removeItem: async (key) => {
      await gates.removeItem;
      memory.removeItem(key);
    },
    keys: async (prefix) => memory.keys(prefix),
  };
  const hold = (what: keyof typeof gates): (() => void) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    gates[what] = promise;
    return resolve;
  };
  return { storage, hold };
}

const PREFIX = 'parley:chat.test/:alice:outbox:';
const HI = JSON.stringify({ to: 'bob', message: 'hi', at: 1 });

for (const kind of ['synchronous', 'asynchronous'] as const) {
  test(`a reload with a ${kind} storage loses nothing and keeps the order`, async () => {
    const entries = new Map<string, string>();
    const storage = kind === 'synchronous' ? memoryStorage(entries) : slowStorage(entries).storage;
    const before = start({ storage });
    const socket = before.online();
    for (const n of [3, 1, 2]) void before.client.send('bob', `m${n}`, { clientId: `c${n}` });
    socket.says(refusal('unknown_user', false, 'c1'));
    await tick();
    assert.equal(entries.size, 3);
    before.client.close();

    const after = start({ storage });
    void after.client.send('bob', 'new', { clientId: 'c0' });
    await tick();
    assert.deepEqual(
      after.client.outbox.map(({ client_id, status }) => [client_id, status]),
      [
        ['c3', 'queued'],
        ['c1', 'failed'],
        ['c2', 'queued'],
        ['c0', 'queued'],
      ],
    );
    const next = after.online();
    assert.deepEqual(
      sends(next).map(([id]) => id),
      ['c3', 'c2', 'c0'],
    );
    next.says({ ...echo(1, 'c3', 'm3'), repeat: true }, echo(2, 'c2', 'm2'), echo(3, 'c0', 'new'));
    after.client.discard('c1');
    await tick();
    assert.equal(entries.size, 0);
  });
}

for (const end of ['discarded', 'settled'] as const) {
  test(`G2: an entry that was ${end} is not taken over again while a slow storage still has it`, async () => {
    const entries = new Map<string, string>();
    const { storage, hold } = slowStorage(entries);
    const { client, online, reconnect } = start({ storage });
    const socket = online();
    void client.send('bob', 'hi', { clientId: 'c1' });
    await tick();
    hold('removeItem');
    if (end === 'discarded') client.discard('c1');
    else socket.says(echo(1, 'c1'));
    const next = reconnect();
    await tick();
    assert.equal(entries.size, 1);
    assert.deepEqual(sends(next), []);
    assert.deepEqual(client.outbox, []);
  });
}

for (const kind of ['synchronous', 'asynchronous'] as const) {
  test(`what was discarded is not sent though a ${kind} storage could not forget it, and is forgotten later`, async () => {
    const entries = new Map<string, string>();
    let fails = true;
    const { removeItem, ...memory } = memoryStorage(entries);
    const remove = (key: string) => {
      if (fails) throw new Error('busy');
      return removeItem(key);
    };
    const storage = {
      ...memory,
      removeItem: kind === 'synchronous' ? remove : async (key: string) => remove(key),
    };
    const { client, online, reconnect } = start({ storage });
    const problems: string[] = [];
    client.on('problem', ({ during }) => problems.push(during));
    void client.send('bob', 'hi', { clientId: 'c1' });
    await tick();
    client.discard('c1');
    await tick();
    assert.deepEqual(problems, ['the storage']);
    assert.deepEqual(sends(online()), []);
    await tick();
    assert.deepEqual(problems, ['the storage', 'the storage']);
    fails = false;
    assert.deepEqual(sends(reconnect()), []);
    await tick();
    assert.equal(entries.size, 0);
    assert.equal(problems.length, 2);
    // The id is free again.
    void client.send('bob', 'hi', { clientId: 'c1' });
    await tick();
    assert.deepEqual([...entries.keys()], [`${PREFIX}c1`]);
  });
}

test('G2: an entry that settles while it is read once more is not taken over again', async () => {
  const entries = new Map<string, string>();
  const { storage, hold } = slowStorage(entries);
  const { client, online, reconnect } = start({ storage });
  await tick();
  entries.set(`${PREFIX}c1`, HI);
  const first = hold('getItem');
  online();
  await tick();
  const second = hold('getItem');
  const socket = reconnect();
  await tick();
  first();
  await tick();
  assert.deepEqual(sends(socket), [['c1', 'hi']]);
  socket.says(echo(1, 'c1'));
  await tick();
  second();
  await tick();
  assert.equal(entries.size, 0);
  assert.deepEqual(sends(socket), []);
  assert.deepEqual(client.outbox, []);
});

test('what a slow storage has still to forget after a logout is not sent after the next login', async () => {
  const entries = new Map<string, string>();
  const { storage, hold } = slowStorage(entries);
  const { client, transport, online } = start({ storage, session: { user_id: 'alice' } });
  transport.fetch = async () => Response.json({ token: 't2' });
  void client.send('bob', 'secret', { clientId: 'c1' });
  await tick();
  entries.set(`${PREFIX}c2`, HI);
  const release = hold('removeItem');
  const done: string[] = [];
  void client.logout().then(() => done.push('logout'));
  const login = client.login('alice', 'pw').then(() => done.push('login'));
  await tick();
  assert.deepEqual(done, []);
  release();
  await login;
  assert.deepEqual(done, ['logout', 'login']);
  void client.send('bob', 'after', { clientId: 'c3' });
  await tick();
  assert.deepEqual(sends(online()), [['c3', 'after']]);
  assert.deepEqual([...entries.keys()], [`${PREFIX}c3`]);
});

for (const end of ['close', 'logout', 'discard'] as const) {
  test(`what was sent while a slow storage was read ends by ${end}() in a listener that is told what it holds`, async () => {
    const entries = new Map([[`${PREFIX}c1`, JSON.stringify({ to: 'bob', message: 'hi', at: 2 ** 50 })]]);
    const { storage } = slowStorage(entries);
    const { client } = start({ storage, session: { user_id: 'alice' } });
    const ended = assert.rejects(client.send('bob', 'early', { clientId: 'c2' }), {
      code: { close: 'closed', logout: 'logged_out', discard: 'discarded' }[end],
    });
    const ends = {
      close: () => client.close(),
      logout: () => client.logout(),
      discard: () => client.discard('c2'),
    };
    client.on('outbox', ({ entry }) => entry.client_id === 'c1' && ends[end]());
    await ended;
    await tick();
    assert.deepEqual(
      [...entries.keys()],
      { close: [`${PREFIX}c1`, `${PREFIX}c2`], logout: [], discard: [`${PREFIX}c1`] }[end],
    );
  });
}

test('the last event of a slow start tells an outbox in the order of sending', async () => {
  const { storage } = slowStorage(new Map([[`${PREFIX}old`, HI]]));
  const { client, online } = start({ storage });
  let told: string[] = [];
  client.on('outbox', ({ kind }) => {
    if (kind === 'updated') void client.send('bob', 'hi', { clientId: 'c3' });
    told = client.outbox.map(({ client_id }) => client_id);
  });
  for (const clientId of ['c1', 'c2']) void client.send('bob', 'hi', { clientId });
  await tick();
  assert.deepEqual(told, ['old', 'c1', 'c2', 'c3']);
  assert.deepEqual(
    sends(online()).map(([id]) => id),
    ['old', 'c1', 'c2', 'c3'],
  );
});

test('what is sent while a slow storage is read stays behind what it holds, though the clock was set back', async () => {
  const entries = new Map([[`${PREFIX}c1`, JSON.stringify({ to: 'bob', message: 'first', at: 3_600_000 })]]);
  const { client } = start({ storage: slowStorage(entries).storage, clock: new ManualClock(0) });
  for (const message of ['second', 'third']) void client.send('bob', message);
  await tick();
  client.close();
  assert.deepEqual(
    start({ storage: memoryStorage(entries) }).client.outbox.map(({ message }) => message),
    ['first', 'second', 'third'],
  );
});

test('G2: who sends an entry of an earlier page again, or retries it, hears of that one', async () => {
  const { client, online } = start({ storage: memoryStorage(new Map([[`${PREFIX}c1`, HI]])) });
  const asked = [client.send('bob', 'hi', { clientId: 'c1' }), client.retry('c1')];
  const socket = online();
  assert.deepEqual(sends(socket), [['c1', 'hi']]);
  socket.says(echo(7, 'c1'));
  assert.deepEqual(
    (await Promise.all(asked)).map(({ id }) => id),
    [7, 7],
  );
});

test('M7: nothing goes out before a slow storage has told what is to go before it', async () => {
  const { storage, hold } = slowStorage(new Map([[`${PREFIX}c1`, HI]]));
  const release = hold('getItem');
  const { client, online } = start({ storage });
  const socket = online();
  void client.send('bob', 'new', { clientId: 'c2' });
  await tick();
  assert.deepEqual(sends(socket), []);
  release();
  await tick();
  assert.deepEqual(sends(socket), [
    ['c1', 'hi'],
    ['c2', 'new'],
  ]);
});

test('a reload after the clock was set back keeps the order', () => {
  const storage = memoryStorage();
  const entries: [message: string, now: number][] = [
    ['first', 3_600_000],
    ['second', 0],
  ];
  for (const [message, now] of entries) {
    const { client } = start({ storage, clock: new ManualClock(now) });
    void client.send('bob', message);
    client.close();
  }
  assert.deepEqual(
    start({ storage }).client.outbox.map(({ message }) => message),
    ['first', 'second'],
  );
});

test('tabs: an entry from before the clock was set back is taken over, too', () => {
  const storage = memoryStorage();
  const stays = start({ storage, clock: new ManualClock(0) });
  void start({ storage, clock: new ManualClock(3_600_000) }).client.send('bob', 'hi', { clientId: 'c1' });
  assert.deepEqual(sends(stays.online()), [['c1', 'hi']]);
});

test('tabs: each takes over what it finds, and none undoes what another does', async () => {
  const entries = new Map<string, string>();
  const storage = memoryStorage(entries);
  const one = start({ storage });
  void one.client.send('bob', 'from one', { clientId: 'c1' });
  const two = start({ storage });
  void two.client.send('bob', 'from two', { clientId: 'c2' });
  assert.deepEqual(
    two.client.outbox.map(({ client_id }) => client_id),
    ['c1', 'c2'],
  );
  // Tab one is closed before it had a connection. Tab two brings its message home, and keeps its own.
  one.client.close();
  const socket = two.online();
  assert.deepEqual(
    sends(socket).map(([id]) => id),
    ['c1', 'c2'],
  );
  socket.says(echo(1, 'c1', 'from one'));
  assert.equal(entries.size, 1);
  // A third takes over while the second still sends: the same client_id makes that harmless.
  const three = start({ storage });
  assert.deepEqual(
    sends(three.online()).map(([id]) => id),
    ['c2'],
  );
  socket.says(echo(2, 'c2', 'from two'));
  three.transport.last.says(echo(2, 'c2', 'from two'), { ...echo(2, 'c2', 'from two'), repeat: true });
  assert.equal(entries.size, 0);
  assert.deepEqual([...two.client.outbox, ...three.client.outbox], []);
});

test('tabs: one that stays online finds the messages of one that went away', () => {
  const storage = memoryStorage();
  const stays = start({ storage });
  const socket = stays.online();
  const goes = start({ storage });
  void goes.client.send('bob', 'wait for me', { clientId: 'c1' });
  goes.client.close();
  const pong = () => socket.says({ type: 'pong' });
  for (let s = 0; s < 130; s += 10) {
    stays.clock.advance(10_000);
    pong();
  }
  assert.deepEqual(sends(socket), [['c1', 'wait for me']]);
});

test('tabs: one that stays online leaves to another what it has written just now, and will send by itself', () => {
  const storage = memoryStorage();
  const stays = start({ storage });
  const socket = stays.online();
  const other = start({ storage });
  const pass = (seconds: number): void => {
    for (let s = 0; s < seconds; s += 10) {
      for (const { clock } of [stays, other]) clock.advance(10_000);
      socket.says({ type: 'pong' });
    }
  };
  pass(50);
  void other.client.send('bob', 'mine', { clientId: 'c1' });
  pass(30);
  assert.deepEqual(sends(socket), []);
  assert.deepEqual(stays.client.outbox, []);
});

for (const kind of ['throws', 'rejects'] as const) {
  test(`an entry that ${kind} when it is read keeps no other from being sent, and is sent when it can be read`, async () => {
    const entries = new Map<string, string>();
    const before = start({ storage: memoryStorage(entries) });
    for (const clientId of ['c1', 'c2', 'c3', 'c4']) void before.client.send('bob', 'hi', { clientId });
    before.client.close();
    let broken = true;
    const storage: KeyValueStorage = {
      ...memoryStorage(entries),
      getItem: async (key) => {
        if (broken && /c[34]$/.test(key)) throw new Error('unreadable');
        return entries.get(key);
      },
    };
    const { getItem } = storage;
    const throws = (key: string) => {
      if (broken && key.endsWith('c2')) throw new Error('unreadable');
      return getItem(key);
    };
    const { client, online, reconnect } = start({
      storage: kind === 'throws' ? { ...storage, getItem: throws } : storage,
    });
    const problems: string[] = [];
    client.on('problem', ({ during }) => problems.push(during));
    await tick();
    const readable = kind === 'throws' ? ['c1'] : ['c1', 'c2'];
    assert.deepEqual(
      sends(online()),
      readable.map((clientId) => [clientId, 'hi']),
    );
    await tick();
    assert.ok(problems.length > 0 && problems.every((during) => during === 'the storage'));
    broken = false;
    const socket = reconnect();
    await tick();
    assert.deepEqual(sends(socket).length, 4);
    client.close();
  });
}

test('a storage that fails costs the survival of a reload, not the sending', async () => {
  const full = () => {
    throw new Error('quota');
  };
  const { client, online } = start({ storage: { ...memoryStorage(), setItem: full } });
  const problems: string[] = [];
  client.on('problem', ({ during, error }) => problems.push(`${during}: ${(error as Error).message}`));
  const sending = client.send('bob', 'hi', { clientId: 'c1' });
  const socket = online();
  assert.equal(sends(socket).length, 1);
  socket.says(echo(1, 'c1'));
  assert.equal((await sending).id, 1);
  assert.deepEqual(problems, ['the storage: quota']);
});

test('two servers, or applications, of one origin have each their part of its storage', () => {
  const entries = new Map<string, string>();
  const storage = memoryStorage(entries);
  const places: Partial<ClientOptions>[] = [{}, { url: 'http://other.test' }, { storagePrefix: 'mine' }];
  for (const [i, place] of places.entries())
    void start({ storage, ...place }).client.send('bob', 'hi', { clientId: `c${i}` });
  for (const [i, place] of places.entries()) {
    const { outbox } = start({ storage, ...place }).client;
    assert.deepEqual(
      outbox.map(({ client_id }) => client_id),
      [`c${i}`],
    );
  }
  assert.ok([...entries.keys()].some((key) => key.startsWith('mine:')));
});

test('G9: of a storage that lists all its keys, those of others are left alone', () => {
  const entries = new Map([['parley:chat.test/:carol:outbox:c1', HI]]);
  const storage: KeyValueStorage = { ...memoryStorage(entries), keys: () => [...entries.keys()] };
  const { client, online } = start({ storage });
  assert.deepEqual(sends(online()), []);
  assert.deepEqual(client.outbox, []);
});

test('a storage that does not tell its keys costs what it holds, not the sending', async () => {
  const failures: KeyValueStorage['keys'][] = [
    () => {
      throw new Error('closing');
    },
    () => Promise.reject(new Error('closing')),
  ];
  for (const keys of failures) {
    const { client, online } = start({ storage: { ...memoryStorage(), keys } });
    const problems: string[] = [];
    client.on('problem', ({ during, error }) => problems.push(`${during}: ${(error as Error).message}`));
    void client.send('bob', 'hi', { clientId: 'c1' });
    const socket = online();
    await tick();
    assert.deepEqual(sends(socket), [['c1', 'hi']]);
    assert.equal(problems.at(-1), 'the storage: closing');
  }
});

test('what goes wrong while a client is made is told to whoever listens right afterwards', async () => {
  const keys = () => {
    throw new Error('closing');
  };
  const { client } = start({ storage: { ...memoryStorage(), keys } });
  const problems: string[] = [];
  client.on('problem', ({ during, error }) => problems.push(`${during}: ${(error as Error).message}`));
  await tick();
  assert.deepEqual(problems, ['the storage: closing']);
});

test('rubbish in the storage is passed over, and a problem tells', () => {
  const entries = new Map(
    ['', '{', 'null', '{"to":"bob"}', '[]', '{"to":"bob","message":"hi","at":"1"}'].map(
      (value, i) => [`${PREFIX}r${i}`, value] as [string, string],
    ),
  );
  // No Date can hold them: whoever shows the entry would get an exception for its time.
  entries.set(`${PREFIX}late`, '{"to":"bob","message":"hi","at":8640000000000001}');
  entries.set(`${PREFIX}never`, '{"to":"bob","message":"hi","at":1e999}');
  // The server would refuse the first without its name, and close the socket at the second, after each connect.
  entries.set(`${PREFIX}no id`, HI);
  entries.set(`${PREFIX}long`, JSON.stringify({ to: 'bob', message: 'x'.repeat(70_000), at: 1 }));
  entries.set(`${PREFIX}good`, HI);
  const rubbish = entries.size - 1;
  const { client, online } = start({ storage: memoryStorage(entries) });
  assert.deepEqual(
    client.outbox.map(({ client_id }) => client_id),
    ['good'],
  );
  const problems: string[] = [];
  client.on('problem', ({ during, error }) => problems.push(`${during}: ${(error as Error).message}`));
  online();
  assert.equal(problems.length, rubbish);
  assert.equal(problems[0], `the storage: not an outbox entry: ${PREFIX}r0`);
});

test('an entry that failed for a reason that is not known here, as a later version may write it, is sent once more', () => {
  const reasons: unknown[] = [null, 'late', { code: 'too_holographic', error: 'x' }, { code: 'forbidden' }];
  const entries = reasons.map((failed, i): [string, string] => [
    `${PREFIX}c${i}`,
    JSON.stringify({ to: 'bob', message: 'hi', at: i, failed }),
  ]);
  const { client, online } = start({ storage: memoryStorage(new Map(entries)) });
  assert.deepEqual(
    client.outbox.map(({ status }) => status),
    reasons.map(() => 'queued'),
  );
  assert.equal(sends(online()).length, reasons.length);
});

test('tabs: an entry that another has settled since its key was listed is none, and no problem', () => {
  for (const gone of [null, undefined]) {
    const keys = () => [`${PREFIX}c1`];
    const { client, online } = start({ storage: { ...memoryStorage(), keys, getItem: () => gone } });
    const problems: unknown[] = [];
    client.on('problem', ({ error }) => problems.push(error));
    assert.deepEqual(sends(online()), []);
    assert.deepEqual([...client.outbox, ...problems], []);
  }
});

test('G9: the outbox of one user is not sent by another', () => {
  const storage = memoryStorage();
  const alice = start({ storage });
  void alice.client.send('bob', 'mine');
  alice.client.close();
  const bob = start({ storage, session: { user_id: 'bob', token: 't2' } });
  assert.deepEqual(bob.client.outbox, []);
  assert.deepEqual(sends(bob.online({ user_id: 'bob' })), []);
});

test('A3, G2: what waited when the session ended is sent, and answered, after the next login of the same user', async () => {
  const { client, transport, online } = start();
  const sending = client.send('bob', 'hi', { clientId: 'c1' });
  online().events.closed(4401, '');
  assert.equal(client.session, null);
  transport.fetch = async () => Response.json({ token: 't2' });
  await client.login('alice', 'pw');
  const socket = online();
  assert.deepEqual(sends(socket), [['c1', 'hi']]);
  socket.says(echo(1, 'c1'));
  assert.equal((await sending).id, 1);
});

test('G9: what one user has not sent when another logs in waits in the storage for the first', async () => {
  const { client, transport, online } = start({ storage: memoryStorage() });
  transport.fetch = async () => Response.json({ token: 't2' });
  const sending = client.send('bob', 'hi', { clientId: 'c1' });
  await Promise.all([client.login('carol', 'pw'), assert.rejects(sending, { code: 'logged_out' })]);
  assert.deepEqual(sends(online({ user_id: 'carol' })), []);
  await client.login('alice', 'pw');
  assert.deepEqual(sends(online()), [['c1', 'hi']]);
});

test('G9: a user whose id looks like the keys of another has an outbox of their own', () => {
  const storage = memoryStorage();
  void start({ storage, session: { user_id: 'alice:outbox:x' } }).client.send('bob', 'theirs');
  assert.deepEqual(start({ storage }).client.outbox, []);
});

test('logout forgets what was not sent', async () => {
  const entries = new Map<string, string>();
  const { client } = start({ storage: memoryStorage(entries), session: { user_id: 'alice' } });
  const sending = client.send('bob', 'secret');
  const rejected = assert.rejects(sending, { code: 'logged_out' });
  await client.logout();
  await rejected;
  assert.equal(entries.size, 0);
  assert.equal(client.session, null);
  await assert.rejects(client.send('bob', 'x'), { code: 'no_session' });
});

test('logout forgets what was not sent when the server has ended the session before, too', async () => {
  const entries = new Map<string, string>();
  const { client, transport } = start({ storage: memoryStorage(entries) });
  const ends: unknown[] = [];
  client.on('session', ({ session, because }) => ends.push([session, because?.code]));
  const rejected = assert.rejects(client.send('bob', 'secret'), { code: 'logged_out' });
  client.connect();
  transport.last.events.closed(4401, '');
  assert.equal(entries.size, 1);
  await client.logout();
  await rejected;
  assert.equal(entries.size, 0);
  assert.equal(client.state.name, 'idle');
  assert.deepEqual(ends, [
    [null, 'unauthorized'],
    [null, undefined],
  ]);
  await client.logout();
  assert.equal(ends.length, 2);
});

test('logout forgets what other tabs have left, too, and what was beyond the limit', async () => {
  const storage = memoryStorage();
  const first = start({ storage });
  for (const n of [1, 2, 3]) void first.client.send('bob', `m${n}`, { clientId: `c${n}` });
  first.client.close();
  const { client } = start({ storage, outboxLimit: 2 });
  assert.equal(client.outbox.length, 2, 'G6: the others wait in the storage');
  await client.logout().catch(() => {});
  assert.deepEqual([...(await storage.keys(''))], []);
});
