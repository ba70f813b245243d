import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';

/*
 * The layer rule of the design: a file imports only from its own folder and from folders above it in this list.
 */
const LAYERS = [
  'contract',
  'client',
  'web',
  'base',
  'config',
  'ops',
  'core',
  'auth',
  'db',
  'bus',
  'reader',
  'writer',
  'gateway',
  'cluster',
  'app',
];

const SRC = path.join(import.meta.dirname, '../../src');
const IMPORT =
  /(?:^|[\s;}])(?:import|export)\s(?:[^'";]*?\sfrom\s)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/g;

type Import = { readonly file: string; readonly specifier: string; readonly target: string | undefined };

const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');

const files = (readdirSync(SRC, { recursive: true }) as string[])
  .filter((file) => /\.tsx?$/.test(file))
  .sort();
const sources = new Map(
  files.map((file) => [file, withoutComments(readFileSync(path.join(SRC, file), 'utf8'))]),
);
const imports: Import[] = [...sources].flatMap(([file, text]) =>
  [...text.matchAll(IMPORT)].map(([, from, dynamic]) => {
    const specifier = (from ?? dynamic) as string;
    const target = specifier.startsWith('.') ? path.join(path.dirname(file), specifier) : undefined;
    return { file, specifier, target };
  }),
);
/** The folder of a file under src; empty for main.ts. */
const layerOf = (file: string): string => (file.includes('/') ? (file.split('/', 1)[0] as string) : '');
const tell = ({ file, specifier }: Import): string => `${file} imports ${specifier}`;

test('layers: every source file is in a folder of the list, and the imports are found', () => {
  assert.deepEqual(
    [...new Set(files.map(layerOf))].filter((layer) => layer !== '' && !LAYERS.includes(layer)),
    [],
  );
  assert.deepEqual(
    files.filter((file) => layerOf(file) === ''),
    ['main.ts'],
  );
  assert.ok(imports.length > files.length, 'the pattern for imports finds next to nothing');
});

test('layers: every relative import has its extension, and is there', () => {
  const known = new Set(files);
  assert.deepEqual(
    imports
      .filter(({ target }) => target !== undefined && /\.tsx?$/.test(target) && !known.has(target))
      .map(tell),
    [],
  );
  assert.deepEqual(
    imports.filter(({ target }) => target !== undefined && !/\.\w+$/.test(target)).map(tell),
    [],
  );
});

test('layers: a file imports only from folders above its own', () => {
  const wrong = imports.filter(({ file, target }) => {
    const own = layerOf(file);
    if (target === undefined || own === '') return false;
    return target.startsWith('..') || LAYERS.indexOf(layerOf(target)) > LAYERS.indexOf(own);
  });
  assert.deepEqual(wrong.map(tell), []);
});

/** Folders that a folder may not use although the order would allow it. */
const FORBIDDEN: readonly (readonly [from: string, to: readonly string[], why: string])[] = [
  ['gateway', ['db', 'reader', 'writer'], 'gateways never open the database'],
  ['reader', ['bus', 'auth'], 'a reader answers queries, whoever carries them'],
  ['bus', ['db', 'auth'], 'the bus knows no store'],
  ['cluster', ['db', 'reader', 'writer', 'gateway'], 'the primary holds no chat state'],
  ['core', ['ops', 'config', 'client', 'web'], 'ports know no adapters'],
  ['web', ['base'], 'the web app stands on client and contract'],
  ['client', ['web'], 'the client is a library'],
];
for (const [from, to, why] of FORBIDDEN) {
  test(`layers: ${from} does not import ${to.join(', ')} (${why})`, () => {
    const wrong = imports.filter(
      ({ file, target }) => layerOf(file) === from && target !== undefined && to.includes(layerOf(target)),
    );
    assert.deepEqual(wrong.map(tell), []);
  });
}

test('layers: only the composition root knows the adapters', () => {
  const adapters = /^(bus\/(redis|ipc)-|db\/file-lock)/;
  const wrong = imports.filter(
    ({ file, target }) =>
      target !== undefined && adapters.test(target) && layerOf(file) !== 'app' && !/^(bus|db)\//.test(file),
  );
  // Messages between processes carry the IPC bus's items: types only.
  assert.deepEqual(
    wrong.map(tell).filter((line) => !/bus\/ipc-items\.ts$/.test(line)),
    [],
  );
});

/** Run by Node when the web app and the client are built, not by what they build. */
const BUILD = /^(client|web)\/(vite\.config|ensure-built|precompress|write-package)\.ts$|\/examples\//;

test('layers: contract, client and web have no Node imports', () => {
  const wrong = imports.filter(
    ({ file, specifier }) =>
      isBuiltin(specifier) && ['contract', 'client', 'web'].includes(layerOf(file)) && !BUILD.test(file),
  );
  assert.deepEqual(wrong.map(tell), []);
});

test('layers: nothing but src/config, and the entry point that hands it over, touches process.env', () => {
  const reads = [...sources].filter(([, text]) => /\bprocess\.env\b|\benv\s*}\s*=\s*process\b/.test(text));
  const allowed = (file: string): boolean =>
    file.startsWith('config/') || file === 'main.ts' || /\/examples\/|vite\.config\.ts$/.test(file);
  assert.deepEqual(
    reads.map(([file]) => file).filter((file) => !allowed(file)),
    [],
  );
});
