import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { freePort } from '../support/ports.ts';

const ASKED = 40;
const SCRIPT = `
  const { freePort } = await import(${JSON.stringify(new URL('../support/ports.ts', import.meta.url))});
  const ports = [];
  while (ports.length < ${ASKED}) ports.push(await freePort());
  console.log(JSON.stringify(ports));
  process.stdin.resume();
`;

test('processes that run at the same time are never given the same port', async () => {
  const children = Array.from({ length: 6 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', SCRIPT], { stdio: ['pipe', 'pipe', 'inherit'] }),
  );
  const lists = await Promise.all(
    children.map(async ({ stdout }) => JSON.parse(String((await once(stdout, 'data'))[0])) as number[]),
  );
  const exits = children.map((child) => once(child, 'exit'));
  for (const { stdin } of children) stdin.end();
  await Promise.all(exits);
  const ports = lists.flat();
  assert.equal(ports.length, 6 * ASKED);
  assert.equal(new Set(ports).size, ports.length);
  // Connections that a system makes are given ports from 32,768 (Linux).
  assert.ok(ports.every((port) => port < 32_768));
});

test('a port that is in use on one address is not given', async (t) => {
  const port = await freePort();
  const taken = createServer().listen(port + 1, '127.0.0.1');
  t.after(() => taken.close());
  await once(taken, 'listening');
  assert.notEqual(await freePort(), port + 1);
});
