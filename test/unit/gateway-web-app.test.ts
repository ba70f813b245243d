import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs, { mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createSocketServer } from 'node:net';
import path from 'node:path';
import { after, test } from 'node:test';
import Koa from 'koa';
import { serveWebApp } from '../../src/gateway/http/web-app.ts';
import { rawRequest } from '../support/raw.ts';
import { temporaryFolder } from '../support/server.ts';

const folder = temporaryFolder({ after });
const root = path.join(folder, 'web');
const app = new Koa();
app.silent = true;
app.use(async (ctx, next) => {
  try {
    await next();
  } catch (error) {
    const { status = 500, code } = error as NodeJS.ErrnoException & { status?: number };
    ctx.status = status;
    ctx.body = { error: code };
  }
});
app.use(serveWebApp(root));
app.use((ctx) => {
  ctx.body = 'not built';
  ctx.set('Cache-Control', 'no-store');
});
const server = createServer(app.callback()).listen(0, '127.0.0.1');
await once(server, 'listening');
after(() => server.close());
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

/** Builds the app as Vite does: what was there is gone. */
function build(name: string): void {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(path.join(root, 'assets'), { recursive: true });
  writeFileSync(path.join(root, 'index.html'), `<script src="/assets/${name}.js">`);
  writeFileSync(path.join(root, 'index.html.br'), `compressed ${name}`);
  writeFileSync(path.join(root, `assets/${name}.js`), name);
}

async function ask(
  request: string,
  ...headers: string[]
): Promise<{ status: number; head: string; body: string }> {
  return rawRequest(url, [`${request} HTTP/1.1`, 'Host: x', 'Connection: close', ...headers, '', '']);
}

async function get(where: string): Promise<[number, string, string | undefined]> {
  const { status, head, body } = await ask(`GET ${where}`);
  return [status, body, /^Cache-Control: (.*)\r$/m.exec(head)?.[1]];
}

/** Of the page as it is, not of its compressed form, which may be a second younger. */
async function lastModified(): Promise<string> {
  return /^Last-Modified: (.*)\r$/m.exec((await ask('HEAD /')).head)?.[1] ?? '';
}

test('an app that is built, or built anew, under a running server is served as it is now', async () => {
  assert.deepEqual(await get('/'), [200, 'not built', 'no-store']);
  for (const name of ['one', 'two']) {
    build(name);
    assert.deepEqual(await get('/'), [200, `<script src="/assets/${name}.js">`, 'no-cache']);
    const year = 'public, max-age=31536000, immutable';
    assert.deepEqual(await get(`/assets/${name}.js`), [200, name, year]);
  }
  assert.deepEqual(await get('/assets/one.js'), [200, 'not built', 'no-store'], 'one that is gone');
  const { head, body } = await ask('GET /', 'Accept-Encoding: br');
  assert.match(head, /^Content-Encoding: br$/m);
  assert.equal(body, 'compressed two');
});

test('nothing outside is served, and nothing hidden', async () => {
  build('one');
  writeFileSync(path.join(folder, 'secret.txt'), 'secret');
  writeFileSync(path.join(root, '.env.txt'), 'secret');
  for (const climb of [
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/.env.txt',
    '/index.html%00.txt',
    '/%E0%A4%A.js',
    `//${folder}/secret.txt`,
    '/assets/x.js/..',
  ]) {
    assert.equal((await ask(`GET ${climb}`)).body, 'not built', climb);
  }
});

test('a client that has it gets 304, and neither it nor HEAD leaves a file open', async () => {
  build('one');
  const since = await lastModified();
  const open = (): number => readdirSync('/proc/self/fd').length;
  const before = open();
  for (let i = 0; i < 30; i++) {
    assert.equal((await ask('GET /', `If-Modified-Since: ${since}`)).status, 304);
    assert.equal((await ask('HEAD /assets/one.js')).status, 200);
  }
  assert.ok(open() <= before + 5, `${open()} files, ${before} before`);
});

test('a file that is there and can’t be opened, as one that this user may not read, is answered as an error', async (t) => {
  build('one');
  // It can be looked at as a file can, and not opened.
  const closed = createSocketServer().listen(path.join(root, 'assets/one.js.br'));
  t.after(() => closed.close());
  await once(closed, 'listening');
  assert.equal((await ask('HEAD /assets/one.js', 'Accept-Encoding: br')).status, 500);
  const { status, head, body } = await ask('GET /assets/one.js', 'Accept-Encoding: br');
  assert.deepEqual([status, body], [500, '{"error":"ENXIO"}']);
  assert.match(head, /^Content-Type: application\/json/m);
  assert.match(head, /^Cache-Control: no-store\r$/m);
  assert.doesNotMatch(head, /^(Content-Encoding|Last-Modified)/m);
  assert.equal((await get('/'))[0], 200);
});

test('a file that goes away before it could be opened, as when the app is built anew, is not found', async (t) => {
  const { open } = fs;
  t.mock.method(fs, 'open', (file: string, ...more: unknown[]) => {
    rmSync(file);
    return Reflect.apply(open, fs, [file, ...more]);
  });
  for (const method of ['HEAD', 'GET']) {
    build('one');
    assert.equal((await ask(`${method} /assets/one.js`)).status, 404, method);
  }
});

test('a browser that has a newer page than this build, as after a roll-back, gets the page that is here', async () => {
  build('two');
  const since = await lastModified();
  build('one');
  const earlier = new Date(Date.parse(since) - 60_000);
  utimesSync(path.join(root, 'index.html'), earlier, earlier);
  const { status, body } = await ask('GET /', `If-Modified-Since: ${since}`);
  assert.deepEqual([status, body], [200, '<script src="/assets/one.js">']);
});
