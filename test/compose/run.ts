import { spawnSync } from 'node:child_process';
import { ROOT } from '../support/root.ts';
import { whatIsMissing } from './engine.ts';

/*
 * npm run test:compose: what docker-compose.yml promises, on a real engine. It takes some seven minutes, and stops where
 * there is no engine: a run that did nothing must not look like one that passed.
 */

const missing = whatIsMissing();
if (missing !== undefined) {
  process.stderr.write(`npm run test:compose needs a container engine with compose: ${missing}.\n`);
  process.exit(1);
}
const { status } = spawnSync(
  process.execPath,
  ['--test', '--test-timeout=1800000', '--test-reporter=spec', 'test/compose/*.test.ts'],
  { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] },
);
process.exit(status ?? 1);
