import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { connectBus } from '../../src/app/adapters.ts';
import { localLink } from '../../src/bus/ipc/local-link.ts';
import { socketPair } from '../../src/cluster/socket-pair.ts';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/ops/logger.ts';

test('bus without Redis: a gateway asks for a writer until a socket to one has come, and again when that has ended', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let asked = 0;
  let give = (_: Socket): void => {};
  const wires = {
    bus: localLink<never, never>()[0],
    onPeer: (listener: (socket: Socket) => void) => {
      give = listener;
    },
    peerLost: () => asked++,
  };
  const { close } = await connectBus(
    readConfig({}),
    'gateway 1',
    'gateway',
    wires,
    createLogger('silent', {}),
  );
  t.mock.timers.tick(4_000);
  assert.equal(asked, 2, 'the socket was lost on its way');
  const [mine, writers] = await socketPair();
  give(mine);
  t.mock.timers.tick(10_000);
  assert.equal(asked, 2);
  writers.destroy();
  await once(mine, 'close');
  assert.equal(asked, 3);
  t.mock.timers.tick(2_000);
  assert.equal(asked, 4);
  await close();
  t.mock.timers.tick(10_000);
  assert.equal(asked, 4);
});
