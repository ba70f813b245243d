import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { temporaryFolder } from '../support/server.ts';
import { launchBrowser, openTab } from './support/browser.ts';
import { suiteCleanups } from './support/cleanups.ts';
import { type Site, startSite } from './support/site.ts';

const ROOT = path.join(import.meta.dirname, '../..');

/** The first example of the package's README, for a server somewhere else and a user of the test's. */
function readmeExample(url: string, user: string): string {
  const [, example] =
    readFileSync(path.join(ROOT, 'src/client/README.md'), 'utf8').match(/```js\n(.*?)```/s) ?? [];
  assert.ok(example?.includes('createClient'));
  return String(example).replace('http://localhost:8888', url).replaceAll("'alice'", `'${user}'`);
}

describe('the client package, from npm pack, in an empty project', () => {
  const cleanups = suiteCleanups();
  const project = temporaryFolder(cleanups);
  let site: Site;

  before(async () => {
    site = await startSite(cleanups);
    const npm = (cwd: string, ...args: string[]): string =>
      execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    npm(ROOT, 'run', 'build:client');
    npm(ROOT, 'pack', './dist/client', '--pack-destination', project);
    const [tarball] = readdirSync(project).filter((file) => file.endsWith('.tgz'));
    mkdirSync(path.join(project, 'app'));
    writeFileSync(path.join(project, 'app/package.json'), '{"name":"app","private":true,"type":"module"}');
    npm(path.join(project, 'app'), 'install', '--no-audit', '--no-fund', `../${tarball}`);
  });

  test('it brings nothing else with it, and its types', () => {
    const modules = path.join(project, 'app/node_modules');
    assert.deepEqual(
      readdirSync(modules).filter((name) => !name.startsWith('.')),
      ['parley'],
    );
    assert.ok(existsSync(path.join(modules, 'parley/types/client/index.d.ts')));
  });

  test('the example of its README runs in Node', () => {
    const app = path.join(project, 'app');
    writeFileSync(path.join(app, 'example.js'), readmeExample(site.url, 'nadia'));
    const output = execFileSync(process.execPath, ['example.js'], {
      cwd: app,
      encoding: 'utf8',
      timeout: 30_000,
    });
    assert.match(output, /nadia → nadia: a note to myself/);
    assert.match(output, /on the server's disk as message \d+/);
  });

  test('the same example runs in a page of another origin', async () => {
    copyFileSync(path.join(project, 'app/node_modules/parley/index.js'), path.join(project, 'client.js'));
    const page = `<!doctype html><title>example</title><script type="importmap">{"imports":{"parley/client":"/client.js"}}</script>
      <script type="module">${readmeExample(site.url, 'bruno')}; document.title = 'done';</script>`;
    const server = createServer((request, response) => {
      const script = request.url === '/client.js';
      response.setHeader('Content-Type', script ? 'text/javascript' : 'text/html; charset=utf-8');
      response.end(script ? readFileSync(path.join(project, 'client.js')) : page);
    }).listen(0, '127.0.0.1');
    cleanups.after(() => void server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const browser = await launchBrowser(cleanups);
    const { page: tab } = await openTab(
      browser,
      `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    );
    await tab.waitForFunction(() => document.title === 'done', undefined, { timeout: 20_000 });
  });
});
