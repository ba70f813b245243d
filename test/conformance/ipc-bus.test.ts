import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, Server, Socket } from 'node:net';
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
import { freePort } from '../support/ports.ts';
import { settle } from '../support/scripted-bus.ts';
import { waitFor } from '../support/wait.ts';
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

test('IPC: a link over a socket keeps messages whole and in order, whatever pieces they come in', async () => {
  const [one, two] = await socketPair();
  closing.push(() => one.destroy());
  const [near, far] = [socketLink<string, string>(one), socketLink<string, string>(two)];
  const messages = [
    [],
    ['a', 'é', '😀\0'],
    ['x'.repeat(5_000_000)],
    ['\u3042'.repeat(300_000), ''],
    ...numbers(500).map((it) => [it]),
  ];
  const got: (readonly string[])[] = [];
  far.onItems((items) => got.push(items));
  near.onItems(() => {});
  for (const message of messages) near.send(message);
  await until(() => got.length === messages.length, 'all messages came');
  assert.deepEqual(got, messages);
  two.destroy();
  await once(one, 'close');
  near.send(['nobody takes this']);
});

test('IPC: a pair of sockets is not the connection of a stranger who comes first', async (t) => {
  const listen = Server.prototype.listen;
  const strangers: Socket[] = [];
  t.mock.method(Server.prototype, 'listen', function (this: Server, ...args: Parameters<typeof listen>) {
    this.once('listening', () => {
      const { port } = this.address() as { port: number };
      strangers.push(connect(port, '127.0.0.1').on('error', () => {}));
    });
    return listen.apply(this, args);
  });
  for (let i = 0; i < 20; i++) {
    const [one, two] = await socketPair();
    two.end(`to ${i}`);
    const [data] = (await once(one.resume(), 'data')) as [Buffer];
    assert.equal(`${data}`, `to ${i}`);
    one.destroy();
    const stranger = strangers.at(-1) as Socket;
    if (!stranger.closed) await once(stranger.resume(), 'close');
  }
  assert.equal(strangers.length, 20);
});

test('G9 IPC: nor is that of a stranger who comes first, from another address of this machine, and from the same port', async (t) => {
  const localPort = await freePort();
  const { listen } = Server.prototype;
  const strangers: Socket[] = [];
  t.mock.method(Server.prototype, 'listen', function (this: Server, ...args: Parameters<typeof listen>) {
    this.once('listening', () => {
      const { port } = this.address() as { port: number };
      strangers.push(connect({ host: '127.0.0.1', port, localAddress: '127.0.0.2', localPort }));
    });
    return listen.apply(this, args);
  });
  const open = Socket.prototype.connect;
  t.mock.method(Socket.prototype, 'connect', function (this: Socket, args: [{ localPort?: number }]) {
    args[0].localPort ??= localPort;
    return (open as (args: unknown) => Socket).call(this, args);
  });
  const [one, two] = await socketPair();
  assert.equal(one.localPort, localPort);
  two.end('to its peer');
  const [data] = (await once(one.resume(), 'data')) as [Buffer];
  assert.equal(`${data}`, 'to its peer');
  one.destroy();
  const [stranger] = strangers as [Socket];
  if (!stranger.closed) await once(stranger.on('error', () => {}).resume(), 'close');
});

test('IPC: a pair of sockets whose second end never comes is given up after 5 s, and leaves nothing behind', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { listen } = Server.prototype;
  const dropped = Promise.withResolvers<Server>();
  t.mock.method(Server.prototype, 'listen', function (this: Server, ...args: Parameters<typeof listen>) {
    // As where no descriptor is left: it is taken from the kernel's queue, and closed.
    this.maxConnections = 0;
    this.once('drop', () => dropped.resolve(this));
    return listen.apply(this, args);
  });
  const rejected = assert.rejects(socketPair(), /no connection within 5 s/);
  const server = await dropped.promise;
  t.mock.timers.tick(5_000);
  await rejected;
  assert.equal(server.listening, false);
});

test('IPC: a socket that breaks, as when its peer is killed, ends neither the primary nor the worker that has it', async () => {
  const given = new Socket();
  socketLink(given);
  for (const socket of [...(await socketPair()), given]) {
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.destroy(new Error('read ECONNRESET'));
    await closed;
  }
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

test('IPC: a member that is gone is not published to, and its requests are forgotten', async () => {
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

test('IPC: who has unsubscribed is not sent what is published', async () => {
  const { got, say } = bareMember(new IpcBroker());
  say({ do: 'subscribe', channel: 'a', ref: 1 }, { do: 'unsubscribe', channel: 'a' });
  say({ do: 'publish', channels: ['a'], payloads: ['x'] });
  await settle();
  assert.deepEqual(got, [{ on: 'done', ref: 1 }]);
});

test('IPC: a read that waits is answered by the next entry, and not by its time', async () => {
  const { got, say } = bareMember(new IpcBroker());
  say({ do: 'read', limit: 10, waitMs: 60_000, ref: 1 }, { do: 'append', payload: 'x', ref: 2 });
  await settle();
  const entries = got.flatMap((item) => (item.on === 'entries' ? item.entries : []));
  assert.deepEqual(
    entries.map(({ payload }) => payload),
    ['x'],
  );
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

test('G6 IPC: a log that is full of text refuses entries, and takes them again when it was trimmed', async () => {
  const { got, say } = bareMember(new IpcBroker());
  const payload = 'x'.repeat(64 * 1024 * 1024);
  for (const ref of [1, 2, 3, 4]) say({ do: 'append', payload, ref });
  say({ do: 'append', payload: 'x', ref: 5 });
  say({ do: 'read', limit: 1, waitMs: 0, ref: 6 });
  await settle();
  const entries = got.find((item) => item.on === 'entries')?.entries;
  say({ do: 'trim', position: entries?.[0]?.position as string });
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

test('G6 IPC: twenty thousand requests wait for somebody to serve; what is beyond is let go of', async () => {
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

test('IPC: what was answered is over: it is not given to another when its server dies, nor is a second answer passed on', async () => {
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

test('IPC: a request that two workers died of is given to no third; another one is', async () => {
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

test('IPC: requests are shared among those who serve; those of a worker that is gone are nobody’s, and it is told nothing', async () => {
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

test('IPC: unsubscribe is told to the primary, and what was under way then is not heard; others stay on the channel', async () => {
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

test('G8 IPC: what was handed in is sent before close resolves: the process ends then', async () => {
  const { bus, sent } = bareBus();
  void bus.publish([{ channel: 'a', payload: 'last words' }]);
  await bus.close();
  assert.deepEqual(sent, [{ do: 'publish', channels: ['a'], payloads: ['last words'] }]);
});

test('IPC: a request goes to the one who has the fewest to answer', async () => {
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
