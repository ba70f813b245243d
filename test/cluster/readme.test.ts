import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { envSchema } from '../../src/config/env.ts';
import { logIn, register } from '../support/client.ts';
import { freePort } from '../support/ports.ts';
import { ROOT } from '../support/root.ts';
import { bareEnvironment, startNode, temporaryFolder } from '../support/server.ts';

const README = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
const folder = temporaryFolder({ after });

test('the tour of the README, line by line in a shell, does what it says', async () => {
  const [, tour] = README.match(/<!-- tour.*?-->\n```sh\n(.*?)```/s) ?? [];
  const port = await freePort();
  // The tour's port and files may be in use on this machine; nothing else of it is changed.
  const lines = String(tour)
    .replaceAll('8888', String(port))
    .replaceAll('/tmp/', `${folder}/`)
    .replaceAll('parley.log', `${folder}/parley.log`);
  const shell = spawn('bash', [], {
    cwd: ROOT,
    env: {
      ...bareEnvironment(),
      PORT: String(port),
      ADMIN_PORT: '0',
      DATABASE_PATH: `${folder}/chat.db`,
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  shell.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  shell.stdin.end(`set -m\n${lines}`);
  const code = await new Promise((resolve) => shell.once('exit', resolve));
  assert.equal(output.match(/User registered successfully/g)?.length, 2, output);
  assert.match(output, /alice <- \{"type":"connected"/);
  assert.match(
    output,
    /alice <- \{"from":"alice","to":"bob","message":"Hello, how are you\?","type":"message","id":1/,
  );
  assert.match(output, /bob <- \{"type":"page","messages":\[\{"from":"alice"/);
  assert.match(output, /\{"messages":\[\{"from":"alice".*"next_before":null\}/);
  assert.match(
    output,
    /\{"conversations":\{"alice":\[\{"sender":"alice","receiver":"bob","message":"Hello, how are you\?"/,
  );
  assert.equal(code, 0, output);
});

test('the README’s line for a frontend of the old chat app gets its messages, and a token in the body gets none', async (t) => {
  const { url } = await startNode(t, { DATABASE_PATH: `${folder}/old-frontend.db`, WORKERS: '1' });
  await register(url, 'bob');
  const token = await logIn(url, 'bob');
  const [, line] = README.match(/\*\*Frontends of the old chat app\*\*.*?```sh\n(.*?)```/s) ?? [];
  const get = (command: string) =>
    execFileSync('bash', ['-c', command.replace('localhost:8888', url)], {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] ?? '', bob: token },
    });
  assert.equal(get(String(line)), '{"conversations":{},"users":[]}');
  const inBody = `curl -s localhost:8888/get-messages -d '{"user_id":"bob","token":"${token}"}'`;
  assert.match(get(inBody), /"code":"unauthorized"/);
});

test('the README names every setting', () => {
  for (const name of Object.keys(envSchema.shape)) assert.ok(README.includes(`| \`${name}\` |`), name);
});

test('the README says of every alert what to do', () => {
  const alerts = readFileSync(path.join(ROOT, '.compose/alerts.yml'), 'utf8').matchAll(/- alert: (\w+)/g);
  const rows = README.split('\n').filter((line) => line.startsWith('| '));
  for (const [, alert] of alerts) {
    const row = rows.find((line) => line.includes(`\`${alert}\``));
    assert.equal(row?.split(' | ').length, 3, alert);
  }
});

/** What Redis says stands there as `code`. */
test('the README quotes what the program says, to the letter: an operator searches for it', () => {
  const src = path.join(ROOT, 'src');
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => /\.ts$/.test(file));
  const program = files.map((file) => readFileSync(path.join(src, file), 'utf8')).join('\n');
  const [, table = ''] = README.match(/### When something is wrong\n(.*?)\n### /s) ?? [];
  const seen = table.split('\n').map((line) => line.split(' | ')[0] ?? '');
  const quotes = seen.flatMap((cell) => [...cell.matchAll(/"([^"]+)"/g)].map(([, quote]) => String(quote)));
  assert.ok(quotes.length >= 6, quotes.join('; '));
  for (const quote of quotes)
    for (const part of quote.split(/…|: /).map((it) => it.replace(/^[: )]+|[: ]+$/g, '')))
      assert.ok(program.includes(part), `'${part}' of '${quote}' is nowhere in the program`);
});
