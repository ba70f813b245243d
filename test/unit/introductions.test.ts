import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Server, Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Introductions } from '../../src/cluster/introductions.ts';
import { socketPair } from '../../src/cluster/socket-pair.ts';
import type { WorkerRole } from '../../src/config/worker.ts';
import { createLogger } from '../../src/ops/logger.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { waitFor } from '../support/wait.ts';

/** A node whose workers' sockets stay in this process. */
function node(t: TestContext) {
  const clock = new ManualClock();
  const introductions = new Introductions(clock, createLogger('silent', {}));
  const worker = (role: WorkerRole | 'primary') => {
    const sockets: Socket[] = [];
    const send = (_: unknown, socket?: Socket): void => {
      if (socket) sockets.push(socket.on('error', () => {}));
    };
    t.after(() => {
      for (const socket of sockets) socket.destroy();
    });
    return { sockets, ...introductions.joined(role, send) };
  };
  return { clock, worker };
}

type Worker = ReturnType<ReturnType<typeof node>['worker']>;

const has = (worker: Worker, count: number): Promise<void> =>
  waitFor(
    () => worker.sockets.length >= count,
    5_000,
    () => `${worker.sockets.length} sockets`,
  );

/** Pairs that were begun before have been made. */
async function pairsMade(): Promise<void> {
  for (const socket of await socketPair()) socket.destroy();
}

/** What the newest socket of one says is heard at the newest of the other. */
async function assertConnected(one: Worker, other: Worker): Promise<void> {
  const [near, far] = [one.sockets.at(-1) as Socket, other.sockets.at(-1) as Socket];
  near.write('hello');
  const [data] = (await once(far.resume(), 'data')) as [Buffer];
  assert.equal(`${data}`, 'hello');
}

test('introductions: whoever comes first, each gateway, and the primary, gets the end of a connection with the writer; readers get none', async (t) => {
  const { worker } = node(t);
  const [reader, early] = [worker('reader'), worker('primary')];
  const writer = worker('writer');
  await has(writer, 1);
  await assertConnected(early, writer);
  const late = worker('gateway');
  await has(writer, 2);
  await assertConnected(late, writer);
  assert.deepEqual([reader.sockets.length, early.sockets.length, late.sockets.length], [0, 1, 1]);
});

test('introductions: gateways are introduced to the next writer, and to none that is gone', async (t) => {
  const { clock, worker } = node(t);
  const [gateway, gone] = [worker('gateway'), worker('gateway')];
  const first = worker('writer');
  await Promise.all([has(gateway, 1), has(gone, 1)]);
  first.gone();
  gone.gone();
  gateway.lost();
  clock.advance(10_000);
  await pairsMade();
  const second = worker('writer');
  await has(second, 1);
  await assertConnected(gateway, second);
  assert.deepEqual(
    [gateway, gone, first, second].map(({ sockets }) => sockets.length),
    [2, 1, 2, 1],
  );
});

test('introductions: a gateway that lost its socket with the writer gets one to the next writer, and no second one later', async (t) => {
  const { clock, worker } = node(t);
  const [gateway, first] = [worker('gateway'), worker('writer')];
  await has(gateway, 1);
  first.gone();
  gateway.lost();
  const second = worker('writer');
  await has(gateway, 2);
  clock.advance(500);
  await pairsMade();
  await assertConnected(gateway, second);
  assert.deepEqual([gateway.sockets.length, second.sockets.length], [2, 1]);
});

test('introductions: a gateway that takes the place of one that has ended is introduced to the same writer', async (t) => {
  const { worker } = node(t);
  const [gateway, writer] = [worker('gateway'), worker('writer')];
  await has(gateway, 1);
  gateway.gone();
  const next = worker('gateway');
  await has(next, 1);
  await assertConnected(next, writer);
});

test('introductions: a gateway that lost its socket to a living writer soon gets another, once', async (t) => {
  const { clock, worker } = node(t);
  const [gateway, writer] = [worker('gateway'), worker('writer')];
  await has(gateway, 1);
  gateway.lost();
  assert.equal(gateway.sockets.length, 1);
  for (let i = 0; i < 10; i++) clock.advance(500);
  await has(gateway, 2);
  await assertConnected(writer, gateway);
  clock.advance(10_000);
  assert.deepEqual([gateway.sockets.length, writer.sockets.length], [2, 2]);
});

test('introductions: sockets that cannot be made are tried again', async (t) => {
  const { clock, worker } = node(t);
  const listen = t.mock.method(Server.prototype, 'listen', () => {
    throw Object.assign(new Error('listen EMFILE'), { code: 'EMFILE' });
  });
  const [gateway, writer] = [worker('gateway'), worker('writer')];
  await waitFor(
    () => listen.mock.callCount() === 1,
    5_000,
    () => 'never tried',
  );
  await new Promise(setImmediate);
  listen.mock.restore();
  assert.equal(gateway.sockets.length, 0);
  clock.advance(500);
  await has(gateway, 1);
  await assertConnected(gateway, writer);
});

test('introductions: a worker that ends while its sockets are made is sent none, nor is the other; they are closed', async (t) => {
  const destroyed = t.mock.method(Socket.prototype, 'destroy').mock;
  const { worker } = node(t);
  const [gateway, writer] = [worker('gateway'), worker('writer')];
  writer.gone();
  const next = worker('writer');
  await has(next, 1);
  await assertConnected(next, gateway);
  await waitFor(
    () => destroyed.callCount() === 2,
    5_000,
    () => `${destroyed.callCount()} closed`,
  );
  worker('gateway').gone();
  await waitFor(
    () => destroyed.callCount() === 4,
    5_000,
    () => `${destroyed.callCount()} closed`,
  );
  assert.deepEqual([gateway.sockets.length, writer.sockets.length, next.sockets.length], [1, 0, 1]);
});

test('introductions: who asks while its sockets are being made does not have more made at once', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { clock, worker } = node(t);
  const listen = t.mock.method(Server.prototype, 'listen', () => {});
  const [gateway] = [worker('gateway'), worker('writer')];
  for (let i = 0; i < 10; i++) {
    gateway.lost();
    clock.advance(2_000);
  }
  assert.equal(listen.mock.callCount(), 1);
});
