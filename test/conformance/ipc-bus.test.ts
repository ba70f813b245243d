import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { IpcBroker } from '../../src/bus/ipc-broker.ts';
import { IpcBus } from '../../src/bus/ipc-bus.ts';
import type { BrokerItem, BusItem, Link } from '../../src/bus/ipc-items.ts';
import type { OnUnreadable } from '../../src/bus/listeners.ts';
import { settle } from '../support/scripted-bus.ts';
import { after, type BusBench, busSuite, type Member, numbers, payloads, readAll } from './bus-suite.ts';

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

async function bench(): Promise<BusBench> {
  const broker = new IpcBroker();
  return { member: async (onUnreadable) => attach(broker, onUnreadable), dispatchesAgain: true };
}

busSuite('IPC', bench);

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
  const answer = asker.bus.request('x', 5_000);
  while (asked === 0) await settle(1);
  const other = attach(broker);
  await other.bus.serve((payload) => `${payload}!`);
  await stuck.die();
  assert.equal(await answer, 'x!');
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
  const late = numbers(4, 12).map((payload) => asker.bus.request(payload, 5_000));
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

test('IPC: the log outlives its reader and its appenders, not the primary: a new one begins anew, and old positions do not hide it', async () => {
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
  timeout: 20_000,
}, async () => {
  const { bus } = attach(new IpcBroker());
  const results = await Promise.allSettled(Array.from({ length: 100_010 }, () => bus.append('x')));
  assert.equal(results.filter(({ status }) => status === 'rejected').length, 10);
  const [first] = await bus.read(undefined, 1, 50);
  await bus.trim(first?.position as string);
  await bus.append('one more');
  await assert.rejects(bus.append('one too many'), /full/);
});

test('IPC: a member that is gone is not published to, and its requests are forgotten', async () => {
  const broker = new IpcBroker();
  const one = attach(broker);
  const two = attach(broker);
  await two.bus.subscribe('a', () => assert.fail('heard after its end'));
  await two.die();
  await one.bus.publish([{ channel: 'a', payload: 'x' }]);
  await settle();
});
