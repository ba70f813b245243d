import assert from 'node:assert/strict';
import cluster, { type Worker } from 'node:cluster';
import { EventEmitter } from 'node:events';
import { mock, type TestContext, test } from 'node:test';
import type { ToPrimary } from '../../src/cluster/messages.ts';
import { Supervisor, type SupervisorEvents } from '../../src/cluster/supervisor.ts';
import type { WorkerRole } from '../../src/config/worker.ts';
import { createLogger } from '../../src/ops/logger.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** A forked process as the supervisor sees it. It answers nothing by itself. */
class SilentWorker extends EventEmitter {
  readonly process = { pid: 1, kill: () => this.#end() };
  readonly sent: string[] = [];
  #dead = false;

  isDead(): boolean {
    return this.#dead;
  }

  isConnected(): boolean {
    return !this.#dead;
  }

  send({ kind }: { kind: string }): void {
    this.sent.push(kind);
  }

  says(message: ToPrimary): void {
    this.emit('message', message);
  }

  #end(): void {
    this.#dead = true;
    this.emit('exit', null, 'SIGKILL');
  }
}

function start(t: TestContext, role: WorkerRole) {
  const clock = new ManualClock();
  const workers: SilentWorker[] = [];
  const fork = mock.method(cluster, 'fork', () => {
    const worker = new SilentWorker();
    workers.push(worker);
    return worker as unknown as Worker;
  });
  t.after(() => fork.mock.restore());
  const nothing = (): void => {};
  const events: SupervisorEvents = {
    joined: () => ({ items: nothing, report: nothing, gone: nothing }),
    ready: nothing,
    failed: nothing,
    writer: nothing,
    ended: nothing,
    backup: nothing,
    attempt: () => 0,
  };
  const log = createLogger('silent', {});
  const supervisor = new Supervisor(clock, log, () => ({ env: {}, execArgv: [] }), events);
  supervisor.run(role, role);
  return { clock, supervisor, workers };
}

test('G8: a worker that hangs while it starts is missed, and replaced; a writer is waited for, since it may be migrating', (t) => {
  for (const role of ['gateway', 'reader', 'writer'] as const) {
    const { clock, supervisor, workers } = start(t, role);
    clock.advance(20_000);
    assert.equal(supervisor.trouble, undefined);
    clock.advance(1_000);
    assert.equal(supervisor.trouble, `not started yet: ${role}`);
    clock.advance(11_000);
    assert.equal(workers.length, role === 'writer' ? 1 : 2, role);
    workers.at(-1)?.says({ kind: 'ready' });
    assert.equal(supervisor.trouble, undefined);
  }
});

test('a worker that waits for something while it starts, and answers, is left alone', (t) => {
  const { clock, supervisor, workers } = start(t, 'gateway');
  for (let s = 0; s < 120; s++) {
    clock.advance(1_000);
    workers[0]?.says({ kind: 'pong' });
  }
  assert.equal(workers.length, 1);
  assert.equal(supervisor.trouble, 'not started yet: gateway');
});

test('a writer that stands by has started, and is missed by nobody', (t) => {
  const { clock, supervisor, workers } = start(t, 'writer');
  workers[0]?.says({ kind: 'writer', status: { kind: 'standby', holder: 'another node', readable: true } });
  clock.advance(60_000);
  assert.equal(supervisor.trouble, undefined);
  assert.equal(workers.length, 1);
});

test('a crash loop is over once its worker works, or stands by, for some seconds', (t) => {
  for (const said of [
    { kind: 'ready' },
    { kind: 'writer', status: { kind: 'standby', holder: 'another node', readable: true } },
  ] as const) {
    const { clock, supervisor, workers } = start(t, 'writer');
    for (let end = 0; end < 5; end++) {
      workers.at(-1)?.process.kill();
      clock.advance(1_000);
    }
    assert.equal(supervisor.trouble, 'crash loop: writer');
    workers.at(-1)?.says(said);
    for (let s = 0; s < 7; s++) {
      clock.advance(1_000);
      workers.at(-1)?.says({ kind: 'pong' });
    }
    assert.equal(supervisor.trouble, undefined, said.kind);
  }
});

test('G8 drain: a node that is told to end while it starts forks no more workers: a reader, once the writer leads', (t) => {
  const { supervisor, workers } = start(t, 'writer');
  supervisor.beginDrain();
  supervisor.run('reader', 'reader');
  assert.equal(workers.length, 1);
});

test('a worker that answers no more is replaced within seconds of its last word', (t) => {
  const { clock, workers } = start(t, 'gateway');
  workers[0]?.says({ kind: 'ready' });
  clock.advance(5_000);
  assert.equal(workers.length, 1);
  clock.advance(2_000);
  assert.equal(workers.length, 2);
});

test('a worker for which no process can be made is told as that, however often it was tried: no worker has crashed', (t) => {
  const { clock, supervisor, workers } = start(t, 'gateway');
  mock.method(cluster, 'fork', () => {
    throw new Error('spawn ENOMEM');
  });
  workers[0]?.process.kill();
  clock.advance(30_000);
  assert.equal(supervisor.trouble, 'no process for: gateway');
});

test('G8 drain: a worker that is killed before the deadline, since it answers no more, counts as killed too', async (t) => {
  const { clock, supervisor, workers } = start(t, 'gateway');
  workers[0]?.says({ kind: 'ready' });
  supervisor.beginDrain();
  const killed = supervisor.drain('gateway', 60_000);
  clock.advance(7_000);
  assert.equal(workers[0]?.isDead(), true);
  assert.equal(await killed, 1);
});
