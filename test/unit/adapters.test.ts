import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { connectBus } from '../../src/app/adapters.ts';
import { GatewayBus } from '../../src/bus/ipc/gateway-bus.ts';
import type { BrokerItem, BusItem } from '../../src/bus/ipc/items.ts';
import { localLink } from '../../src/bus/ipc/local-link.ts';
import { socketLink } from '../../src/bus/ipc/socket-link.ts';
import { socketPair } from '../../src/cluster/socket-pair.ts';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/ops/logger.ts';
import { waitFor } from '../support/wait.ts';

const log = createLogger('silent', {});

/** What connects a process with its node: the test gives it its peers. */
function wiresOf(peerLost: () => void = () => {}) {
  let give = (_: Socket): void => {};
  const wires = {
    bus: localLink<never, never>()[0],
    onPeer: (listener: (socket: Socket) => void) => {
      give = listener;
    },
    peerLost,
  };
  return { wires, give: (socket: Socket) => give(socket) };
}

test('bus without Redis: a gateway asks for a writer until a socket to one has come, and again when that has ended', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let asked = 0;
  const { wires, give } = wiresOf(() => asked++);
  const { close } = await connectBus(readConfig({}), 'gateway 1', 'gateway', wires, log);
  t.mock.timers.tick(2_000);
  assert.equal(asked, 0, 'it may be unread');
  t.mock.timers.tick(4_000);
  assert.equal(asked, 2, 'it was lost on its way');
  const [mine, writers] = await socketPair();
  give(mine);
  t.mock.timers.tick(10_000);
  assert.equal(asked, 2);
  writers.destroy();
  await once(mine, 'close');
  assert.equal(asked, 3);
  t.mock.timers.tick(4_000);
  assert.equal(asked, 4);
  await close();
  t.mock.timers.tick(10_000);
  assert.equal(asked, 4);
});

test('G6 bus without Redis: the writer cuts off a gateway that does not read what it publishes; another one hears it all', async (t) => {
  const { wires, give } = wiresOf();
  const { bus } = await connectBus(readConfig({}), 'writer', 'writer', wires, log);
  const ends: Socket[] = [];
  const gateway = async (): Promise<GatewayBus> => {
    const [mine, writers] = await socketPair();
    ends.push(mine.on('error', () => {}));
    give(writers);
    const gatewayBus = new GatewayBus(localLink<BrokerItem, BusItem>()[1]);
    mine.once('close', gatewayBus.join(socketLink(mine)));
    return gatewayBus;
  };
  t.after(() => {
    for (const socket of ends) socket.destroy();
  });
  const [stuck, reads] = [await gateway(), await gateway()];
  let heard = 0;
  for (const it of [stuck, reads]) await it.subscribe('a', () => heard++);
  const [socket] = ends as [Socket];
  socket.pause();
  heard = 0;
  const payload = 'x'.repeat(8 * 1024 * 1024);
  for (let published = 1; published <= 24; published++) {
    await bus.publish([{ channel: 'a', payload }]);
    await waitFor(
      () => heard === published,
      20_000,
      () => `${heard} of ${published} heard`,
    );
  }
  const closed = once(socket, 'close');
  socket.resume();
  await closed;
});
