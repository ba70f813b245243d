import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpcBroker } from '../../src/bus/ipc/broker.ts';
import { IpcBus } from '../../src/bus/ipc/ipc-bus.ts';
import type { BrokerItem, BusItem } from '../../src/bus/ipc/items.ts';
import { settle } from '../support/scripted-bus.ts';
import { waitFor } from '../support/wait.ts';

/*
 * The broker and the bus of a worker, by the items that they send each other.
 */

/** A worker that says what the test says, and whose payloads are not copied. */
function bareMember(broker: IpcBroker) {
  const got: BrokerItem[] = [];
  let hear: (items: readonly BusItem[]) => void = () => {};
  const die = broker.attach({
    send: (items) => got.push(...items),
    onItems: (listener) => {
      hear = listener;
    },
  });
  const requests = (): number[] => got.flatMap((item) => (item.on === 'request' ? [item.request] : []));
  return { got, say: (...items: BusItem[]) => hear(items), die, requests };
}

test('a member that is gone is not published to, and its requests are forgotten', async () => {
  const broker = new IpcBroker();
  const gone = bareMember(broker);
  gone.say(
    { do: 'subscribe', channel: 'a', ref: 1 },
    { do: 'request', payload: 'x', timeoutMs: 5_000, ref: 2 },
  );
  await settle();
  const before = gone.got.length;
  gone.die();
  const other = bareMember(broker);
  other.say({ do: 'publish', channels: ['a'], payloads: ['x'] }, { do: 'serve', ref: 1 });
  await settle();
  assert.equal(gone.got.length, before);
  assert.deepEqual(other.requests(), []);
});

test('who has unsubscribed is not sent what is published', async () => {
  const { got, say } = bareMember(new IpcBroker());
  say({ do: 'subscribe', channel: 'a', ref: 1 }, { do: 'unsubscribe', channel: 'a' });
  say({ do: 'publish', channels: ['a'], payloads: ['x'] });
  await settle();
  assert.deepEqual(got, [{ on: 'done', ref: 1 }]);
});

test('a read that waits is answered by the next entry, and not by its time', async () => {
  const { got, say } = bareMember(new IpcBroker());
  say({ do: 'read', limit: 10, waitMs: 60_000, ref: 1 }, { do: 'append', payload: 'x', ref: 2 });
  await settle();
  const entries = got.flatMap((item) => (item.on === 'entries' ? item.entries : []));
  assert.deepEqual(
    entries.map(({ payload }) => payload),
    ['x'],
  );
});

test('a read whose time is over in the turn in which an entry came is given it', async () => {
  const { got, say } = bareMember(new IpcBroker());
  await settle();
  say({ do: 'read', limit: 10, waitMs: 1, ref: 1 }, { do: 'append', payload: 'x', ref: 2 });
  const began = performance.now();
  while (performance.now() - began < 10);
  await settle();
  const entries = got.flatMap((item) => (item.on === 'entries' ? item.entries : []));
  assert.deepEqual(
    entries.map(({ payload }) => payload),
    ['x'],
  );
});

test('G6: a log that is full of text refuses entries, and takes them again when it was trimmed', async () => {
  const { got, say } = bareMember(new IpcBroker());
  const payload = 'x'.repeat(64 * 1024 * 1024);
  for (const ref of [1, 2, 3, 4]) say({ do: 'append', payload, ref });
  say({ do: 'append', payload: 'x', ref: 5 });
  say({ do: 'read', limit: 1, waitMs: 0, ref: 6 });
  const entries = () => got.find((item) => item.on === 'entries')?.entries;
  await waitFor(
    () => entries() !== undefined,
    5_000,
    () => 'the read is not answered',
  );
  say({ do: 'trim', position: entries()?.[0]?.position as string });
  say({ do: 'append', payload, ref: 7 }, { do: 'append', payload: 'x', ref: 8 });
  await waitFor(
    () => got.length === 8,
    5_000,
    () => `${got.length}`,
  );
  const refsOf = (on: 'done' | 'failed') => got.flatMap((item) => (item.on === on ? [item.ref] : []));
  assert.deepEqual(
    [refsOf('done'), refsOf('failed')],
    [
      [1, 2, 3, 4, 7],
      [5, 8],
    ],
  );
});

test('G6: twenty thousand requests wait for somebody to serve; what is beyond is let go of', async () => {
  const broker = new IpcBroker();
  const [asker, server] = [bareMember(broker), bareMember(broker)];
  for (let ref = 1; ref <= 20_005; ref++) asker.say({ do: 'request', payload: 'x', timeoutMs: 60_000, ref });
  server.say({ do: 'serve', ref: 1 });
  let answered = 0;
  for (;;) {
    await settle(1);
    const given = server.requests();
    if (given.length === 0) break;
    server.got.length = 0;
    server.say(...given.map((request): BusItem => ({ do: 'reply', request, payload: 'y' })));
    answered += given.length;
  }
  assert.equal(answered, 20_000);
});

test('what was answered is over: it is not given to another when its server dies, nor is a second answer passed on', async () => {
  const broker = new IpcBroker();
  const [asker, server, other] = [bareMember(broker), bareMember(broker), bareMember(broker)];
  asker.say({ do: 'request', payload: 'x', timeoutMs: 60_000, ref: 1 });
  server.say({ do: 'serve', ref: 1 });
  await settle();
  const [request] = server.requests() as [number];
  for (const payload of ['y', 'z']) server.say({ do: 'reply', request, payload });
  other.say({ do: 'serve', ref: 1 });
  server.die();
  await settle();
  assert.deepEqual(asker.got, [{ on: 'answer', ref: 1, payload: 'y' }]);
  assert.deepEqual(other.requests(), []);
});

test('a request that two workers died of is given to no third; another one is', async () => {
  const broker = new IpcBroker();
  const asker = bareMember(broker);
  const given: number[] = [];
  for (let i = 0; i < 3; i++) {
    if (i < 2) asker.say({ do: 'request', payload: `${i}`, timeoutMs: 60_000, ref: i });
    const server = bareMember(broker);
    server.say({ do: 'serve', ref: 1 });
    await settle();
    given.push(...server.requests());
    server.die();
  }
  assert.deepEqual(given, [1, 1, 2, 2].toSorted());
});

test('requests are shared among those who serve; those of a worker that is gone are nobody’s, and it is told nothing', async () => {
  const broker = new IpcBroker();
  const [asker, gone, one, two] = [1, 2, 3, 4].map(() => bareMember(broker));
  for (const from of [gone, asker])
    for (let ref = 1; ref <= 4; ref++) from?.say({ do: 'request', payload: 'x', timeoutMs: 60_000, ref });
  gone?.say({ do: 'subscribe', channel: 'c', ref: 9 });
  await settle();
  gone?.die();
  asker?.say({ do: 'publish', channels: ['c'], payloads: ['late'] });
  for (const server of [one, two]) server?.say({ do: 'serve', ref: 1 });
  asker?.say({ do: 'request', payload: 'x', timeoutMs: 60_000, ref: 5 });
  await settle();
  assert.ok(gone?.got.every(({ on }) => on === 'done'));
  assert.deepEqual([one?.requests(), two?.requests()], [[5, 6, 7, 8], [9]]);
});

/** A bus whose primary says what the test says. */
function bareBus() {
  const sent: BusItem[] = [];
  let hear: (items: readonly BrokerItem[]) => void = () => {};
  const bus = new IpcBus({
    send: (items) => sent.push(...items),
    onItems: (listener) => {
      hear = listener;
    },
  });
  return { bus, sent, say: (...items: BrokerItem[]) => hear(items) };
}

test('unsubscribe is told to the primary, and what was under way then is not heard; others stay on the channel', async () => {
  const { bus, sent, say } = bareBus();
  const heard: string[] = [];
  void bus.subscribe('a', (payload) => heard.push(payload));
  bus.unsubscribe('a');
  say({ on: 'published', channels: ['a'], payloads: ['under way'] });
  await settle();
  assert.deepEqual(heard, []);
  assert.deepEqual(sent.at(-1), { do: 'unsubscribe', channel: 'a' });
  const broker = new IpcBroker();
  const [stays, leaves] = [bareMember(broker), bareMember(broker)];
  for (const { say: tell } of [stays, leaves]) tell({ do: 'subscribe', channel: 'a', ref: 1 });
  leaves.say({ do: 'unsubscribe', channel: 'a' });
  leaves.say({ do: 'publish', channels: ['a'], payloads: ['x'] });
  await settle();
  assert.deepEqual(stays.got.at(-1), { on: 'published', channels: ['a'], payloads: ['x'] });
});

test('G8: what was handed in is sent before close resolves: the process ends then', async () => {
  const { bus, sent } = bareBus();
  void bus.publish([{ channel: 'a', payload: 'last words' }]);
  await bus.close();
  assert.deepEqual(sent, [{ do: 'publish', channels: ['a'], payloads: ['last words'] }]);
});

test('a request goes to the one who has the fewest to answer', async () => {
  const broker = new IpcBroker();
  const [asker, busy, idle] = [bareMember(broker), bareMember(broker), bareMember(broker)];
  const ask = (): void => asker.say({ do: 'request', payload: 'x', timeoutMs: 60_000, ref: 1 });
  busy.say({ do: 'serve', ref: 1 });
  for (let i = 0; i < 3; i++) ask();
  idle.say({ do: 'serve', ref: 1 });
  for (let i = 0; i < 5; i++) ask();
  await settle();
  assert.deepEqual([busy.requests().length, idle.requests().length], [4, 4]);
});
