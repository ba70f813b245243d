import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { createLogger } from '../../src/ops/logger.ts';
import { ROOT } from '../support/root.ts';

test('a log line without an event does not type-check', () => {
  const log = createLogger('silent', {});
  // @ts-expect-error
  log.info('a sentence alone');
  // @ts-expect-error
  log.error({ err: new Error() }, 'no event');
  log.error({ event: 'named', err: new Error() }, 'with an event');
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
