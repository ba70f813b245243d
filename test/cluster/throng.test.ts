import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { WebSocket } from 'ws';
import type { MessageFrame } from '../../src/contract/frames.ts';
import { SUBPROTOCOL } from '../../src/contract/version.ts';
import { createDatabase, mintToken, queryDatabase } from '../support/database.ts';
import { signalPid } from '../support/processes.ts';
import { startRedis } from '../support/redis.ts';
import { startNode, temporaryFolder } from '../support/server.ts';
import { until, waitFor } from '../support/wait.ts';

const USERS = 1_000;
const MESSAGES = 20;
const folder = temporaryFolder({ after });

/** As light as a client can be: a thousand of them run in this process. */
class Person {
  readonly user: string;
  readonly got: MessageFrame[] = [];
  #ws: WebSocket | undefined;

  constructor(user: string) {
    this.user = user;
  }

  async connect(url: string): Promise<void> {
    const token = await mintToken(this.user);
    const ws = new WebSocket(`${url.replace('http', 'ws')}/ws`, [SUBPROTOCOL]);
    this.#ws = ws;
    await new Promise<void>((resolve, reject) => {
      ws.once('error', reject);
      ws.on('open', () => ws.send(JSON.stringify({ type: 'connect', user_id: this.user, token })));
      ws.on('message', (data) => {
        const frame = JSON.parse(data.toString());
        if (frame.type === 'message') this.got.push(frame);
        else if (frame.type === 'connected') resolve();
        else reject(new Error(data.toString()));
      });
    });
  }

  say(to: string, message: string): void {
    this.#ws?.send(JSON.stringify({ type: 'message', to, message }));
  }

  close(): void {
    this.#ws?.terminate();
  }
}

for (const bus of ['embedded', 'redis'] as const) {
  test(`G3: ${USERS} users send each other ${MESSAGES} messages each on 2 workers: all arrive at both ends, in order, once (${bus})`, async (t) => {
    const redis = bus === 'redis' ? await startRedis(t) : undefined;
    const path = `${folder}/${bus}.db`;
    const names = Array.from({ length: USERS }, (_, i) => `user-${i}`);
    await createDatabase(path, names);
    const { url } = await startNode(t, {
      DATABASE_PATH: path,
      WORKERS: '2',
      ...(redis && { REDIS_URL: redis.url }),
    });
    const people = names.map((name) => new Person(name));
    t.after(() => {
      for (const person of people) person.close();
    });
    for (let i = 0; i < USERS; i += 50)
      await Promise.all(people.slice(i, i + 50).map((person) => person.connect(url)));

    // Everybody writes to the next, and to one far away.
    for (let n = 0; n < MESSAGES; n++) {
      people.forEach((person, i) => {
        person.say(`user-${(i + (n % 2 === 0 ? 1 : 377)) % USERS}`, `${i}:${n}`);
      });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const expected = USERS * MESSAGES * 2;
    const arrived = () => people.reduce((sum, { got }) => sum + got.length, 0);
    await waitFor(
      () => arrived() >= expected,
      60_000,
      () => `${arrived()} of ${expected} arrived`,
    );
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal(arrived(), expected, 'none arrives twice');

    const rows = queryDatabase<{ id: number; sender: string; receiver: string; message: string }>(
      path,
      'SELECT id, sender, receiver, message FROM messages ORDER BY id',
    );
    assert.equal(rows.length, USERS * MESSAGES);
    const stored = new Map<string, string[]>(names.map((name) => [name, []]));
    for (const { id, sender, receiver, message } of rows) {
      const line = `${id} ${sender} ${receiver} ${message}`;
      for (const user of new Set([sender, receiver])) stored.get(user)?.push(line);
    }
    for (const { user, got } of people) {
      assert.deepEqual(
        got.map(({ id, from, to, message }) => `${id} ${from} ${to} ${message}`),
        stored.get(user),
        `what ${user} got is what the history has, in its order`,
      );
    }
  });
}

test('G6: connections that come faster than they are taken wait, and none is dropped by the kernel, to try again seconds later', async (t) => {
  const { node, url } = await startNode(t, { DATABASE_PATH: `${folder}/storm.db`, WORKERS: '1' });
  const bound = Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'));
  const count = Math.min(2_000, bound - 1);
  const { hostname, port } = new URL(url);
  const [gateway] = node.workers('gateway') as [number];
  signalPid(gateway, 'SIGSTOP');
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  let open = 0;
  for (let i = 0; i < count; i++)
    sockets.push(connect(Number(port), hostname, () => open++).on('error', () => {}));
  // Whom the kernel drops, it drops again until somebody takes connections: this gateway when it goes on, or the next.
  await until(() => open === count || node.events('worker_stuck').length > 0, 20_000);
  signalPid(gateway, 'SIGCONT');
  assert.equal(open, count);
});
