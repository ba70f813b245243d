import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { ROOT } from '../support/root.ts';
import { temporaryFolder } from '../support/server.ts';
import { launchBrowser, openTab } from './support/browser.ts';
import { suiteCleanups } from './support/cleanups.ts';
import { type Site, startSite } from './support/site.ts';

const README = readFileSync(path.join(ROOT, 'src/client/README.md'), 'utf8');
const [INSTALL, RUN, PAGE, TERMINAL] = [...README.matchAll(/```sh\n(.*?)```/gs)].map(([, lines]) =>
  String(lines),
);
const [EXAMPLE] = [...README.matchAll(/```js\n(.*?)```/gs)].map(([, code]) => String(code));

describe('the client package, installed as its README says', () => {
  const cleanups = suiteCleanups();
  const folder = temporaryFolder(cleanups);
  const app = path.join(folder, 'parley-app');
  let site: Site;

  /** Runs a command of the README; only its server, its folder and where its Node comes from are the test's. */
  function shell(cwd: string, lines: string | undefined, input = ''): string {
    const here = String(lines)
      .replaceAll('http://localhost:8888', site.url)
      .replaceAll('/tmp/parley-app', app)
      .replaceAll('npx -y node@24', `"${process.execPath}"`);
    return execFileSync('bash', ['-e', '-c', here], {
      cwd,
      input,
      encoding: 'utf8',
      timeout: 180_000,
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { ...process.env, npm_config_audit: 'false', npm_config_fund: 'false' },
    });
  }

  before(async () => {
    site = await startSite(cleanups, { users: ['bob'] });
    // As after the tour of the README: its alice is there, with her password.
    const alice = JSON.stringify({ user_id: 'alice', password: 'wonderland' });
    assert.equal((await fetch(`${site.url}/register`, { method: 'POST', body: alice })).status, 200);
    shell(ROOT, INSTALL);
    writeFileSync(path.join(app, 'hello.mjs'), String(EXAMPLE).replace('http://localhost:8888', site.url));
  });

  test('it brings nothing else with it, and its types', () => {
    const modules = path.join(app, 'node_modules');
    assert.deepEqual(
      readdirSync(modules).filter((name) => !name.startsWith('.')),
      ['parley'],
    );
    assert.ok(existsSync(path.join(modules, 'parley/types/client/index.d.ts')));
  });

  test('the files its README leads to are in the package', () => {
    const links = [...README.matchAll(/\]\(([^)#:]+)\)/g)].map(([, file]) => String(file));
    const named = [...README.matchAll(/`(types\/[^`]+)`/g)].map(([, file]) => String(file));
    assert.ok(links.length > 0 && named.length > 0);
    const missing = [...links, ...named].filter(
      (file) => !existsSync(path.join(app, 'node_modules/parley', file)),
    );
    assert.deepEqual(missing, []);
  });

  test('its types suit the strictest settings: what may be left out may be undefined, too', () => {
    writeFileSync(
      path.join(app, 'strict.mts'),
      `import { type Client, createClient, type Session } from 'parley/client';
      export const begin = (session?: Session): Client => createClient({ url: 'http://chat.test', session });
      export async function use(client: Client, before?: number, limit?: number, clientId?: string, everywhere?: boolean) {
        await client.history('bob', { before, limit });
        await client.conversations({ before, limit });
        await client.searchUsers('b', { limit });
        await client.send('bob', 'hello', { clientId });
        await client.logout({ everywhere });
      }`,
    );
    const tsc = path.join(ROOT, 'node_modules/.bin/tsc');
    for (const settings of [
      '--target es2024 --lib es2024,dom --module esnext --moduleResolution bundler',
      // Neither the DOM's types nor Node's.
      '--target es2022 --lib es2022 --module nodenext',
    ]) {
      shell(app, `"${tsc}" --noEmit --strict --exactOptionalPropertyTypes --types '' ${settings} strict.mts`);
    }
  });

  test('the example runs in Node: for the alice of the tour, and for one who is not there yet', () => {
    for (const user of ['alice', 'nadia']) {
      const code = readFileSync(path.join(app, 'hello.mjs'), 'utf8');
      writeFileSync(path.join(app, 'other.mjs'), code.replaceAll("'alice'", `'${user}'`));
      const output = shell(app, RUN?.replace('hello.mjs', 'other.mjs'));
      assert.match(output, new RegExp(`${user} → ${user}: a note to myself`));
      assert.match(output, /on the server's disk as message \d+/);
    }
  });

  test('the same file runs in a page that Vite has built, of another origin', async () => {
    // Vite is the project's own: the README's comes from the registry, and its server is not one that ends.
    shell(app, PAGE?.replace(/^npm i .*$/m, '').replace(/^npx vite$/m, ''));
    shell(app, `"${path.join(ROOT, 'node_modules/.bin/vite')}" build`);
    const dist = path.join(app, 'dist');
    const server = createServer((request, response) => {
      const file = path.join(dist, request.url === '/' ? 'index.html' : String(request.url));
      if (!existsSync(file)) {
        response.writeHead(404).end();
        return;
      }
      response.setHeader(
        'Content-Type',
        file.endsWith('.js') ? 'text/javascript' : 'text/html; charset=utf-8',
      );
      response.end(readFileSync(file));
    }).listen(0, '127.0.0.1');
    cleanups.after(() => void server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const browser = await launchBrowser(cleanups);
    const { page } = await openTab(browser, 'about:blank');
    const said = page.waitForEvent('console', (line) =>
      line.text().startsWith("on the server's disk as message"),
    );
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await said;
  });

  test('the chat in a terminal, at the end of its input, waits until all of it is stored', () => {
    const [alice, bob] = String(TERMINAL).trim().split('\n');
    const output = shell(app, alice, 'one\n\ntwo\nthree \u001b[2J\u009b2J');
    assert.deepEqual(output.split('\n').slice(-5), [
      'alice: one',
      'alice: two',
      'alice: three \ufffd[2J\ufffd2J', // It would clear the other's screen.
      '[idle]',
      '',
    ]);
    // More than the outbox holds: a file comes faster than it is sent.
    const many = Array.from({ length: 1_500 }, (_, i) => `line ${i}`);
    const sent = shell(app, bob?.replace('builder', 'secret'), many.join('\n')).split('\n');
    assert.deepEqual(
      sent.filter((line) => line.includes('line ')),
      many.map((line) => `bob: ${line}`),
    );
  });
});
