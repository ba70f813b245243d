import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { createLogger } from '../../src/ops/logger.ts';
import { ROOT } from '../support/root.ts';
import { temporaryFolder } from '../support/server.ts';

test('a log line without an event does not type-check', () => {
  const log = createLogger('silent', {});
  // @ts-expect-error
  log.info('a sentence alone');
  // @ts-expect-error
  log.error({ err: new Error() }, 'no event');
  log.error({ event: 'named', err: new Error() }, 'with an event');
});

test('a log line that says twice which worker or node writes it does not type-check', () => {
  const log = createLogger('silent', { node: 'a', worker: 'primary' });
  // @ts-expect-error
  log.warn({ event: 'worker_ended', worker: 'gateway 1' }, 'worker ended');
  // @ts-expect-error
  log.warn({ event: 'node_gone', node: 'b' }, 'node gone');
  log.warn({ event: 'worker_ended', name: 'gateway 1' }, 'worker ended');
});

for (const [level, withStack] of [
  ['info', false],
  ['debug', true],
] as const) {
  test(`LOG_LEVEL=${level}: an error says its message and code${withStack ? ' and stack' : ''}, and nothing of the command that Redis refused`, () => {
    const program = `
      import { createLogger } from './src/ops/logger.ts';
      const err = Object.assign(new TypeError('NOPERM'), { code: 'E', command: { name: 'xadd', args: ['a secret text'] } });
      createLogger('${level}', {}).error({ event: 'refused', err }, 'refused');`;
    const line = execFileSync(process.execPath, ['--input-type=module-typescript', '-e', program], {
      cwd: ROOT,
    });
    const { stack, ...brief } = JSON.parse(String(line)).err;
    assert.deepEqual(brief, { name: 'TypeError', message: 'NOPERM', code: 'E' });
    assert.equal(typeof stack === 'string', withStack);
  });
}

test('a process whose log nobody reads ends all the same', async (t) => {
  const fifo = path.join(temporaryFolder(t), 'log');
  execFileSync('mkfifo', [fifo]);
  // Reads nothing yet, and takes no more than a pipe does: 64 KiB.
  const end = openSync(fifo, constants.O_RDWR);
  t.after(() => closeSync(end));
  const program = `
    import { createLogger } from './src/ops/logger.ts';
    const log = createLogger('info', {});
    for (let i = 0; i < 2_000; i++) log.info({ event: 'line', i }, 'a line of a log that nobody reads');
    setTimeout(() => process.exit(7), 200);`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
    cwd: ROOT,
    stdio: ['ignore', end, 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const [code] = await once(child, 'exit', { signal: AbortSignal.timeout(30_000) });
  assert.equal(code, 7);
});
