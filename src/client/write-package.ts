import { copyFileSync, cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/*
 * Last step of `npm run build:client`: makes dist/client a package of its own, `parley` with the one export
 * `parley/client`, so that who installs the client gets none of the server's dependencies.
 */

const ROOT = path.join(import.meta.dirname, '../..');
const OUT = path.join(ROOT, 'dist/client');

const { name, version, license } = JSON.parse(
  readFileSync(path.join(ROOT, 'package.json'), 'utf8'),
) as Record<string, string>;
const manifest = {
  name,
  version,
  description: 'Client for Parley, for browsers and Node',
  license,
  type: 'module',
  sideEffects: false,
  engines: { node: '>=22' },
  exports: { './client': { types: './types/client/index.d.ts', default: './index.js' } },
};
writeFileSync(path.join(OUT, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
copyFileSync(path.join(import.meta.dirname, 'README.md'), path.join(OUT, 'README.md'));
copyFileSync(path.join(ROOT, 'LICENSE'), path.join(OUT, 'LICENSE'));
cpSync(path.join(import.meta.dirname, 'examples'), path.join(OUT, 'examples'), { recursive: true });
