import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, Server, Socket } from 'node:net';
import { test } from 'node:test';
import { socketLink } from '../../src/bus/ipc/socket-link.ts';
import { socketPair } from '../../src/cluster/socket-pair.ts';
import { freePort } from '../support/ports.ts';
import { numbers, until } from './bus-suite.ts';

/*
 * What gateways and the writer of a node without Redis talk over.
 */

test('a link over a socket keeps messages whole and in order, whatever pieces they come in', async (t) => {
  const [one, two] = await socketPair();
  t.after(() => one.destroy());
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

test('a pair of sockets is not the connection of a stranger who comes first', async (t) => {
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

test('G9: nor is that of a stranger who comes first, from another address of this machine, and from the same port', async (t) => {
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

test('a pair of sockets whose second end never comes is given up after 5 s, and leaves nothing behind', async (t) => {
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

test('a socket that breaks, as when its peer is killed, ends neither the primary nor the worker that has it', async () => {
  const given = new Socket();
  socketLink(given);
  for (const socket of [...(await socketPair()), given]) {
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.destroy(new Error('read ECONNRESET'));
    await closed;
  }
});
