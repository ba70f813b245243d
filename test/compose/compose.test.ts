import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { chunks } from '../../src/base/chunks.ts';
import { check } from '../faults/checker.ts';
import { DatabaseView } from '../faults/database.ts';
import { History } from '../faults/history.ts';
import { type Account, Load } from '../faults/load.ts';
import { createRandom } from '../faults/random.ts';
import { call, connect, newUser, register, type TestSocket } from '../support/client.ts';
import { freePort } from '../support/ports.ts';
import { ROOT } from '../support/root.ts';
import { until, waitFor } from '../support/wait.ts';
import { docker, promtool, SERVICES, Stack } from './engine.ts';
import { allFaults, rollingReplacement, rollingRestart, untilHealthy } from './faults.ts';
import { during, felt, type Stretch, table } from './recovery.ts';

const SEED = process.env['SEED'] ?? String(Math.floor(Math.random() * 1_000_000));
/** Does only the faults with this in their name, and no scaling; for who looks into one. */
const ONLY = process.env['ONLY'];
const GATEWAYS = 3;
const USERS = 30;
const SENDS_PER_S = 60;
const START_MS = 180_000;
const WELL_AGAIN_MS = 45_000;
const REPORT = path.join(ROOT, 'artifacts/compose');
/** As a stuck tool would: whoever else wants to write the database waits, whoever reads does not. */
const HOLD_THE_WRITE_LOCK = `
require('better-sqlite3')('/data/chat.db').exec('BEGIN IMMEDIATE');
setTimeout(() => {}, 20_000);`;

const ports = { chat: await freePort(), admin: await freePort() };
const url = `http://127.0.0.1:${ports.chat}`;
const admin = `http://127.0.0.1:${ports.admin}`;
const PROJECT = 'parley-test';
const SETTINGS = { PORT: String(ports.chat), ADMIN_PORT: String(ports.admin), GATEWAYS: String(GATEWAYS) };
const stack = new Stack(PROJECT, SETTINGS);

before(
  async () => {
    rmSync(REPORT, { recursive: true, force: true });
    mkdirSync(REPORT, { recursive: true });
    await stack.down();
    await stack.compose('build');
    await stack.compose('up', '-d');
    await untilHealthy(stack, 'lb');
  },
  { timeout: START_MS },
);

after(async () => {
  writeFileSync(path.join(REPORT, 'containers.log'), await stack.logs());
  await stack.down();
});

test('one command brings up a system that is ready', async () => {
  const ready = await call(url, 'GET', '/readyz');
  assert.equal(ready.status, 200);
  for (const service of SERVICES) await untilHealthy(stack, service);
  const user = await docker('exec', await stack.container('gateway'), 'node', '-p', 'process.getuid()');
  assert.notEqual(user, '0');
});

test('a plain up keeps the number of gateways', async () => {
  await stack.compose('up', '-d');
  assert.equal((await stack.containers('gateway')).length, GATEWAYS);
});

test('no container’s log grows without end', async () => {
  const format = '{{index .HostConfig.LogConfig.Config "max-size"}}';
  for (const service of SERVICES)
    assert.match(
      await docker('inspect', '--format', format, await stack.container(service)),
      /^\d+m$/,
      service,
    );
});

test('two people chat through the load balancer over different gateways', async () => {
  const [ann, ben] = [await newUser(url, 'ann'), await newUser(url, 'ben')];
  const first = await connect(url, 'ann', ann);
  const others: TestSocket[] = [];
  while (others.at(-1)?.worker === undefined || others.at(-1)?.worker === first.worker) {
    assert.ok(others.length < 10, 'the load balancer spreads sockets over the gateways');
    others.push(await connect(url, 'ben', ben));
  }
  first.send({ type: 'message', to: 'ben', message: 'hello over there' });
  const heard = await (others.at(-1) as TestSocket).type('message');
  assert.equal(heard['message'], 'hello over there');
  for (const socket of [first, ...others]) socket.close();
});

/** The statuses of a dozen logins with a wrong password, the i-th of them with this X-Forwarded-For. */
async function guesses(user: string, forwardedFor: (i: number) => string): Promise<number[]> {
  const statuses: number[] = [];
  for (let i = 1; i <= 12; i++) {
    const response = await fetch(`${url}/login`, {
      method: 'POST',
      headers: { 'X-Forwarded-For': forwardedFor(i), Forwarded: `for=10.0.0.${i}` },
      body: JSON.stringify({ user_id: user, password: 'a guess' }),
    });
    statuses.push(response.status);
  }
  return statuses;
}

test('A6: a client can not choose its own address', async () => {
  await register(url, 'cat');
  const statuses = await guesses('cat', (i) => `10.0.0.${i}`);
  assert.equal(statuses[0], 401);
  assert.equal(statuses.at(-1), 429);
});

test('A6: with TRUST_PROXY, a client has the address that the proxy in front names last', async () => {
  await register(url, 'cow');
  const behindProxy = new Stack(PROJECT, { ...SETTINGS, TRUST_PROXY: 'on' });
  await behindProxy.compose('up', '-d', '--no-deps', 'lb');
  try {
    await untilHealthy(stack, 'lb');
    const ofMany = await guesses('cow', (i) => `10.1.0.1, 10.0.0.${i}`);
    assert.deepEqual(new Set(ofMany), new Set([401]));
    const ofOne = await guesses('cow', (i) => `10.0.0.${i}, 10.1.0.2`);
    assert.deepEqual([ofOne[0], ofOne.at(-1)], [401, 429]);
  } finally {
    await stack.compose('up', '-d', '--no-deps', 'lb');
  }
  await untilHealthy(stack, 'lb');
});

/** What README says: by `docker kill`, the container would count as stopped by hand, and would not be restarted. */
const signal = (name: string): Promise<string> =>
  stack.compose('exec', '-T', 'lb', 'sh', '-c', `kill -${name} 1`);

test('a reload of the load balancer reads the file that an editor has put in the place of the old one; it is still restarted when it ends', async () => {
  const file = path.join(ROOT, '.compose/haproxy.cfg');
  const before = readFileSync(file, 'utf8');
  const replace = (text: string): void => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  const script = "fetch('http://lb:8406').then(({ status }) => console.log(status), () => {})";
  const gateway = await stack.container('gateway');
  const newFrontendSays = (said: string): Promise<void> =>
    waitFor(
      async () => (await docker('exec', gateway, 'node', '-e', script)) === said,
      15_000,
      () => `the new frontend does not answer '${said}'`,
    );
  replace(`${before}\nfrontend new\n    bind :8406\n    http-request return status 204\n`);
  try {
    await signal('USR2');
    await newFrontendSays('204');
  } finally {
    replace(before);
    await signal('USR2');
  }
  await newFrontendSays('');
  const lb = await stack.container('lb');
  const starts = (): Promise<string> => docker('inspect', '--format', '{{.State.StartedAt}}', lb);
  const first = await starts();
  // The engine may end the command's own process together with the container.
  await signal('TERM').catch(() => {});
  await waitFor(
    async () => (await starts()) !== first,
    15_000,
    () => 'the container is not restarted',
  );
  await untilHealthy(stack, 'lb');
});

test('metrics of every container satisfy promtool', async () => {
  for (const service of ['gateway', 'store'] as const) {
    for (const id of await stack.containers(service)) {
      const script = "fetch('http://127.0.0.1:9464/metrics').then((r) => r.text()).then(console.log)";
      const metrics = await docker('exec', id, 'node', '-e', script);
      assert.match(metrics, /^parley_build_info\{/m);
      const { status, said } = promtool(['check', 'metrics'], `${metrics}\n`);
      assert.equal(status, 0, said);
    }
  }
});

test('the alerts about gateways and Redis are raised, and not by a rolling restart', () => {
  const { status, said } = promtool(['test', 'rules', 'test/compose/alerts.test.yml']);
  assert.equal(status, 0, said);
});

/** What the load balancer answers to `/readyz` while no gateway is ready. */
async function whyNotReady(): Promise<Record<string, { ok: boolean; reason?: string }>> {
  let checks: Record<string, { ok: boolean; reason?: string }> = {};
  await waitFor(
    async () => {
      const { status, body } = await call(url, 'GET', '/readyz');
      if (status === 503 && body['checks'] !== undefined) checks = body['checks'] as typeof checks;
      return checks['writer']?.ok === false;
    },
    30_000,
    () => `the load balancer does not say why nothing can be sent: ${JSON.stringify(checks)}`,
  );
  return checks;
}

test('G10 truthful: with commits held up, the load balancer says why and serves history', async () => {
  const dan = await newUser(url, 'dan');
  const held = docker('exec', await stack.container('store'), 'node', '-e', HOLD_THE_WRITE_LOCK);
  await whyNotReady();
  const history = await call(url, 'GET', '/history?with=ann', { token: dan });
  assert.deepEqual([history.status, history.body['messages']], [200, []]);
  await held;
  await untilHealthy(stack, 'lb');
});

test('G10 truthful: with the store stopped, the load balancer says why and serves pages', async () => {
  const store = await stack.container('store');
  await docker('stop', '-t', '20', store);
  const { writer } = await whyNotReady();
  assert.match(writer?.reason ?? '', /the writer has not been heard for/);
  const page = await fetch(url);
  assert.deepEqual([page.status, page.headers.get('content-type')], [200, 'text/html; charset=utf-8']);
  await docker('start', store);
  await untilHealthy(stack, 'lb');
});

test('G10 truthful: a Redis that answers with errors alone is not healthy', async () => {
  const redis = await stack.container('redis');
  const cli = (...args: string[]): Promise<string> => docker('exec', redis, 'redis-cli', ...args);
  await cli('config', 'set', 'busy-reply-threshold', '100');
  const busy = cli('eval', 'while true do end', '0');
  try {
    await waitFor(
      async () => !(await stack.isHealthy(redis)),
      30_000,
      () => 'its health check takes an error for an answer',
    );
  } finally {
    await cli('script', 'kill');
    await busy;
  }
  for (const service of SERVICES) await untilHealthy(stack, service);
});

test('nothing is lost, doubled, reordered or misdelivered whatever befalls the containers', async (t) => {
  t.diagnostic(`seed ${SEED}`);
  const accounts: Account[] = [];
  const users = Array.from({ length: USERS }, (_, i) => `user-${i + 1}`);
  // Few at once: all come from one address, which has its share of the line.
  for (const some of chunks(users, 10))
    accounts.push(
      ...(await Promise.all(some.map(async (user) => ({ user, token: await newUser(url, user) })))),
    );
  const history = new History();
  const random = createRandom(SEED);
  const live = await liveDatabase();
  const load = new Load({
    accounts,
    random: random.fork('load'),
    history,
    ports: () => new Map([[1, ports.chat]]),
    ...(live !== undefined && { peek: (id) => live.has(id) }),
  });
  t.after(() => load.stop());
  const stretches: Stretch[] = [];
  const complaints: string[] = [];
  const step = async (what: string, act: (setIn: () => void) => Promise<void>): Promise<void> => {
    stretches.push(
      await during(what, history, load, async (setIn) => {
        await act(setIn);
        await wellAgain(load).catch((error: Error) => complaints.push(`${what}: ${error.message}`));
        // Time enough for everybody to get a message.
        await sleep(4_000);
      }),
    );
  };
  const spread = async (gateways: number): Promise<void> => {
    for (const device of load.devices) {
      device.reconnect();
      await sleep(30);
    }
    await until(() => load.devices.every(({ ready }) => ready), 20_000);
    const counts = socketsByGateway(history);
    const mean = load.devices.length / gateways;
    t.diagnostic(`${gateways} gateways: ${counts.join(' + ')} sockets`);
    const even = counts.every((count) => Math.abs(count - mean) <= Math.max(1, mean * 0.2));
    if (counts.length !== gateways || !even) complaints.push(`sockets are not spread evenly: ${counts}`);
  };
  const scale = async (gateways: number): Promise<void> => {
    await stack.compose(
      'up',
      '-d',
      '--no-deps',
      '--no-recreate',
      '--scale',
      `gateway=${gateways}`,
      'gateway',
    );
    await untilHealthy(stack, 'gateway');
    await waitFor(
      async () => (await gatewaysInService().catch(() => 0)) === gateways,
      20_000,
      () => `the load balancer has not found ${gateways} gateways`,
    );
  };

  const scaleAndRestart = async (): Promise<void> => {
    await step('rolling restart of the gateways', () => rollingRestart(stack, 'gateway'));
    await step('restart of the store', () => rollingRestart(stack, 'store'));
    await step('rolling replacement of the gateways', () => rollingReplacement(stack));
    await step('scaled to 1 gateway', () => scale(1));
    await step('scaled to 4 gateways', () => scale(4));
    await spread(4);
    await step('scaled to 2 gateways', () => scale(2));
    await spread(2);
  };

  load.start();
  load.aim(SENDS_PER_S, Number.POSITIVE_INFINITY);
  await sleep(3_000);
  for (const fault of allFaults(stack)) {
    if (!`${fault.name} ${fault.service}`.includes(ONLY ?? '')) continue;
    const held = fault.holdMs === 0 ? '' : `, ${fault.holdMs / 1000} s`;
    await step(`${fault.name} ${fault.service}${held}`, async (setIn) => {
      const id = random.pick(await stack.containers(fault.service));
      await fault.inject(id);
      setIn();
      await sleep(fault.holdMs);
      await fault.heal?.(id);
    });
  }
  if (ONLY === undefined) await scaleAndRestart();

  load.aim(0, 0);
  await until(() => load.open === 0, 60_000);
  const copy = await copyOfTheDatabase();
  await load.quiesce(60_000, () => copy.newest());
  load.stop();
  const rows = copy.rows().filter(({ sender }) => sender.startsWith('user-'));
  const verdict = check(history.events, rows);
  for (const stretch of stretches) {
    const { unserved } = felt(history.events, stretch);
    if (unserved > 0) complaints.push(`${stretch.what}: ${unserved} devices were not served again`);
  }
  const { totals } = verdict;
  const report = [
    `seed ${SEED}: ${totals.sends} messages, ${totals.acknowledged} acknowledged, ${totals.delivered} deliveries, ${totals.resumes} resumes, ${totals.peeked} looked up at once`,
    '',
    table(history.events, stretches, verdict),
    ...complaints.map((complaint) => `! ${complaint}`),
  ].join('\n');
  writeFileSync(path.join(REPORT, 'report.txt'), `${report}\n`);
  // For whoever asks what became of one message or one device.
  const lines = history.events.map((event) => JSON.stringify(event)).join('\n');
  writeFileSync(path.join(REPORT, 'history.ndjson.gz'), gzipSync(lines));
  process.stdout.write(`\n${report}\n\n`);
  assert.deepEqual(copy.damage(), []);
  copy.close();
  live?.close();
  assert.ok(verdict.ok, 'violations, see the table');
  assert.deepEqual(complaints, []);
});

/** Every device is back and has what it missed, and no send waits. */
async function wellAgain(load: Load): Promise<void> {
  for (const service of SERVICES) await untilHealthy(stack, service);
  const back = (): boolean =>
    load.devices.every((device) => device.paused || (device.ready && device.caughtUp));
  const well = await until(() => load.open < SENDS_PER_S && back(), WELL_AGAIN_MS);
  const away = load.devices.filter((device) => !device.paused && !(device.ready && device.caughtUp));
  if (!well) throw new Error(`${load.open} sends wait, ${away.length} devices are away`);
}

/** How many gateways the load balancer sends clients to. */
async function gatewaysInService(): Promise<number> {
  const script = "fetch('http://lb:8405/metrics').then((r) => r.text()).then(console.log)";
  const metrics = await docker('exec', await stack.container('gateway'), 'node', '-e', script);
  return (
    metrics.match(/^haproxy_server_status\{proxy="gateways",server="[^"]+",state="UP"\} 1$/gm)?.length ?? 0
  );
}

/** How many of the open sockets each gateway has. */
function socketsByGateway(history: History): number[] {
  const open = new Map<number, string>();
  for (const event of history.events) {
    if (event.kind === 'opened') open.set(event.socket, event.worker);
    else if (event.kind === 'closed') open.delete(event.socket);
  }
  const counts = new Map<string, number>();
  for (const worker of open.values()) counts.set(worker, (counts.get(worker) ?? 0) + 1);
  return [...counts.values()].sort((a, b) => b - a);
}

/** The file itself, where the engine keeps its volumes within reach: then early deliveries (M1) are found, too. */
async function liveDatabase(): Promise<DatabaseView | undefined> {
  const folder = await docker('volume', 'inspect', '--format', '{{.Mountpoint}}', `${stack.project}_data`);
  const file = path.join(folder, 'chat.db');
  return existsSync(file) ? new DatabaseView(file) : undefined;
}

/** A back-up, made by the running store. */
async function copyOfTheDatabase(): Promise<DatabaseView> {
  const made = await call(admin, 'POST', '/backup?file=/data/copy.db');
  assert.equal(made.status, 200, JSON.stringify(made.body));
  const file = path.join(REPORT, 'copy.db');
  await docker('cp', `${await stack.container('store')}:/data/copy.db`, file);
  return new DatabaseView(file);
}
