import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { IpcBroker } from '../../src/bus/ipc/broker.ts';
import { GatewayBus } from '../../src/bus/ipc/gateway-bus.ts';
import { IpcBus } from '../../src/bus/ipc/ipc-bus.ts';
import type { BrokerItem, BusItem, Link } from '../../src/bus/ipc/items.ts';
import { PrimaryBus } from '../../src/bus/ipc/primary-bus.ts';
import { socketLink } from '../../src/bus/ipc/socket-link.ts';
import { WriterBus } from '../../src/bus/ipc/writer-bus.ts';
import type { OnUnreadable } from '../../src/bus/listeners.ts';
import { socketPair } from '../../src/cluster/socket-pair.ts';
import { settle } from '../support/scripted-bus.ts';
import {
  after,
  type BusFixture,
  busSuite,
  type Member,
  numbers,
  PATIENCE_MS,
  payloads,
  readAll,
  until,
} from './bus-suite.ts';

const closing: (() => void)[] = [];
after(() => {
  for (const close of closing) close();
});

/** A worker's channel to the primary: a MessagePort clones what it carries, as the channel between processes does. */
function attach(
  broker: IpcBroker,
  onUnreadable?: OnUnreadable,
): Member & { readonly link: Link<BusItem, BrokerItem> } {
  const { port1, port2 } = new MessageChannel();
  const linkOver = <Out, In>(port: typeof port1): Link<Out, In> => ({
    send: (items) => port.postMessage(items),
    onItems: (listener) => port.on('message', listener),
  });
  const gone = broker.attach(linkOver<BrokerItem, BusItem>(port1));
  const link = linkOver<BusItem, BrokerItem>(port2);
  const die = async (): Promise<void> => {
    port2.close();
    port1.close();
    gone();
  };
  closing.push(() => void die());
  return { bus: new IpcBus(link, onUnreadable), die, link };
}

async function fixture(): Promise<BusFixture> {
  const broker = new IpcBroker();
  return { member: async (onUnreadable) => attach(broker, onUnreadable), dispatchesAgain: true };
}

busSuite('IPC', fixture);

/** Gateways of a node without Redis. Requests go through the primary's broker, all else through the writer's, over sockets. */
async function gatewayFixture(): Promise<BusFixture> {
  const broker = new IpcBroker();
  const writer = new WriterBus();
  return {
    member: async (onUnreadable) => {
      const primary = attach(broker);
      const bus = new GatewayBus(primary.link, onUnreadable);
      const { end } = await join(bus, writer);
      return { bus, die: async () => Promise.all([primary.die(), end()]).then(() => {}) };
    },
    dispatchesAgain: true,
  };
}

/** Connects a gateway with a writer, as the primary does. */
async function join(bus: GatewayBus, writer: WriterBus): Promise<{ end(): Promise<void> }> {
  const [gateways, writers] = await socketPair();
  writers.once('close', writer.attach(socketLink(writers)));
  gateways.once('close', bus.join(socketLink(gateways)));
  const end = async (): Promise<void> => {
    gateways.destroy();
    await once(gateways, 'close');
  };
  closing.push(() => gateways.destroy());
  return { end };
}

busSuite('IPC between gateways and the writer', gatewayFixture);

/** A gateway that says one thing. @returns what it is sent */
function attachScripted(writer: WriterBus, item: BusItem): readonly BrokerItem[] {
  const got: BrokerItem[] = [];
  writer.attach({ send: (items) => got.push(...items), onItems: (listener) => listener([item]) });
  return got;
}

test('G5 IPC: without a writer a gateway can subscribe, and append nothing; with the next one it hears its channels, and is told of the gap', async () => {
  const bus = new GatewayBus(attach(new IpcBroker()).link);
  const heard: string[] = [];
  let gaps = 0;
  bus.onGap(() => gaps++);
  await bus.subscribe('a', (payload) => heard.push(payload));
  await assert.rejects(bus.append('x'), /no writer/);
  await assert.rejects(bus.publish([{ channel: 'a', payload: 'x' }]), /no writer/);
  const first = new WriterBus();
  const { end } = await join(bus, first);
  await until(() => gaps === 1, 'the first writer was joined');
  const unanswered = bus.append('lost with the writer');
  await end();
  await unanswered.catch(() => {});
  await assert.rejects(bus.append('x'), /no writer/);
  bus.unsubscribe('a');
  await bus.subscribe('b', (payload) => heard.push(payload));
  const second = new WriterBus();
  await join(bus, second);
  await until(() => gaps === 2, 'the second writer was joined');
  await second.publish(['a', 'b'].map((channel) => ({ channel, payload: `to ${channel}` })));
  await bus.append('new');
  assert.deepEqual(payloads(await second.read(undefined, 10, PATIENCE_MS)), ['new']);
  await until(() => heard.length > 0, 'the publication was heard');
  assert.deepEqual(heard, ['to b']);
});

test('IPC: the primary hears itself without a writer, and each writer that comes, until it unsubscribes', async () => {
  const bus = new PrimaryBus(attach(new IpcBroker()).link);
  const heard: string[] = [];
  for (const channel of ['nodes', 'beat']) await bus.subscribe(channel, (payload) => heard.push(payload));
  const own = async (payload: string): Promise<void> => {
    await bus.publish([{ channel: 'nodes', payload }]);
    await until(() => heard.includes(payload), `${payload} was heard`);
  };
  await own('alone');
  let gaps = 0;
  bus.onGap(() => gaps++);
  for (const beat of ['of the first', 'of the second']) {
    const writer = new WriterBus();
    const { end } = await join(bus, writer);
    await until(() => gaps > 0, 'the writer was joined');
    gaps = 0;
    await writer.publish([{ channel: 'beat', payload: beat }]);
    await until(() => heard.includes(beat), `the beat ${beat} was heard`);
    await own(`beside ${beat}`);
    await end();
    await own(`after ${beat}`);
  }
  gaps = 0;
  const last = new WriterBus();
  await join(bus, last);
  await until(() => gaps > 0, 'the last writer was joined');
  for (const channel of ['nodes', 'beat']) bus.unsubscribe(channel);
  await bus.publish([{ channel: 'nodes', payload: 'unheard' }]);
  await bus.subscribe('mark', (payload) => heard.push(payload));
  await last.publish(['beat', 'mark'].map((channel) => ({ channel, payload: `${channel} of the last` })));
  await until(() => heard.includes('mark of the last'), 'the mark was heard');
  assert.deepEqual(heard, [
    'alone',
    'of the first',
    'beside of the first',
    'after of the first',
    'of the second',
    'beside of the second',
    'after of the second',
    'mark of the last',
  ]);
});

test('IPC: what waits for an answer of a writer that has ended is rejected; the link that replaced it is not', async () => {
  const bus = new GatewayBus(attach(new IpcBroker()).link);
  const sent: BusItem[] = [];
  const silent: Link<BusItem, BrokerItem> = { send: (items) => sent.push(...items), onItems: () => {} };
  const ended = bus.join(silent);
  const append = bus.append('x');
  const subscription = bus.subscribe('a', () => {});
  const rejected = assert.rejects(append, /has ended/);
  bus.join(silent);
  await Promise.all([rejected, subscription]);
  ended();
  void bus.append('y').catch(() => {});
  await settle();
  assert.deepEqual(
    sent.flatMap((item) => (item.do === 'append' ? [item.payload] : [])),
    ['x', 'y'],
  );
});

test('IPC: what the writer publishes has been sent when publish resolves, and so before its next commit', async () => {
  const writer = new WriterBus();
  const got = attachScripted(writer, { do: 'subscribe', channel: 'a', ref: 1 });
  await settle();
  await writer.publish([{ channel: 'a', payload: 'x' }]);
  assert.deepEqual(got.at(-1), { on: 'published', channels: ['a'], payloads: ['x'] });
});

test('G8 IPC: what a writer has for its gateways is sent before close resolves: the process ends then', async () => {
  const writer = new WriterBus();
  const got = attachScripted(writer, { do: 'append', payload: 'x', ref: 1 });
  await writer.close();
  assert.deepEqual(got, [{ on: 'done', ref: 1 }]);
});

test('IPC: what a dead server was asked and did not answer is given to another', async () => {
  const broker = new IpcBroker();
  const asker = attach(broker);
  const stuck = attach(broker);
  let asked = 0;
  // Takes requests, and answers none of them.
  stuck.link.onItems((items) => {
    asked += items.filter(({ on }) => on === 'request').length;
  });
  stuck.link.send([{ do: 'serve', ref: 1 }]);
  const answer = asker.bus.request('x', PATIENCE_MS);
  while (asked === 0) await settle(1);
  const other = attach(broker);
  await other.bus.serve((payload) => `${payload}!`);
  await stuck.die();
  assert.equal(await answer, 'x!');
});

test('G8 IPC: who has closed its bus answers no request any more; another does', async () => {
  const broker = new IpcBroker();
  const [asker, closed] = [attach(broker), attach(broker)];
  let asked = 0;
  await closed.bus.serve((payload) => `${payload} ${++asked}`);
  await closed.bus.close();
  const answer = asker.bus.request('x', PATIENCE_MS);
  await sleep(50);
  const other = attach(broker);
  await other.bus.serve((payload) => `${payload}!`);
  await closed.die();
  assert.deepEqual([await answer, asked], ['x!', 0]);
});

test('G6 IPC: who serves is given a few requests at once, and none that was given up meanwhile', async () => {
  const broker = new IpcBroker();
  const asker = attach(broker);
  const busy = attach(broker);
  const given: number[] = [];
  busy.link.onItems((items) => {
    for (const item of items) if (item.on === 'request') given.push(item.request);
  });
  busy.link.send([{ do: 'serve', ref: 1 }]);
  const early = numbers(12).map((payload) => asker.bus.request(payload, 60));
  const late = numbers(4, 12).map((payload) => asker.bus.request(payload, PATIENCE_MS));
  const outcomes = await Promise.allSettled(early);
  assert.ok(outcomes.every(({ status }) => status === 'rejected'));
  assert.equal(given.length, 8, 'and no more while it answers none');
  // The broker counts from when it has heard of them.
  await sleep(100);
  const served: string[] = [];
  const other = attach(broker);
  await other.bus.serve((payload) => {
    served.push(payload);
    return payload;
  });
  assert.deepEqual(await Promise.all(late), numbers(4, 12));
  assert.deepEqual(served, numbers(4, 12));
  for (const request of given) busy.link.send([{ do: 'reply', request, payload: 'late' }]);
});

test('IPC: the log outlives its reader and its appenders, not its broker: a new one begins anew, and old positions do not hide it', async () => {
  const old = attach(new IpcBroker());
  for (const payload of ['1', '2', '3']) await old.bus.append(payload);
  const position = (await readAll(old.bus)).at(-1)?.position;
  const fresh = attach(new IpcBroker());
  await fresh.bus.append('new 1');
  assert.deepEqual(payloads(await readAll(fresh.bus, position)), ['new 1']);
  await fresh.bus.trim(position as string);
  assert.deepEqual(payloads(await readAll(fresh.bus)), ['new 1'], 'a position of another log trims nothing');
});

test('G6 IPC: a log that is full refuses entries, and takes them again when it was trimmed', {
  timeout: 90_000,
}, async () => {
  const { bus } = attach(new IpcBroker());
  const results = await Promise.allSettled(Array.from({ length: 100_010 }, () => bus.append('x')));
  assert.equal(results.filter(({ status }) => status === 'rejected').length, 10);
  const [first] = await bus.read(undefined, 1, 50);
  await bus.trim(first?.position as string);
  await bus.append('one more');
  await assert.rejects(bus.append('one too many'), /full/);
});

test('G2 IPC: what is trimmed once more, or was the place in a log of another broker, moves no place in this one', async () => {
  const { bus } = attach(new IpcBroker());
  for (const payload of ['1', '2', '3']) await bus.append(payload);
  const [first, second, third] = await bus.read(undefined, 10, 50);
  for (const entry of [second, first]) await bus.trim(entry?.position as string);
  await bus.trim('another-7');
  await bus.append('4');
  assert.deepEqual((await bus.read(second?.position, 10, 50))[0], third);
  assert.deepEqual(
    (await bus.read(third?.position, 10, 50)).map(({ payload }) => payload),
    ['4'],
  );
});
