import { test } from 'node:test';
import { createLogger } from '../../src/ops/logger.ts';

test('a log line without an event does not type-check', () => {
  const log = createLogger('silent', {});
  // @ts-expect-error
  log.info('a sentence alone');
  // @ts-expect-error
  log.error({ err: new Error() }, 'no event');
  log.error({ event: 'named', err: new Error() }, 'with an event');
});
