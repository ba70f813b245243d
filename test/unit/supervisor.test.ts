import assert from 'node:assert/strict';
import cluster, { type Worker } from 'node:cluster';
import { EventEmitter } from 'node:events';
import { Socket } from 'node:net';
import { mock, type TestContext, test } from 'node:test';
import type { ToPrimary } from '../../src/cluster/messages.ts';
import { type SendToWorker, Supervisor, type SupervisorEvents } from '../../src/cluster/supervisor.ts';
import type { WorkerRole } from '../../src/config/worker.ts';
import { createLogger } from '../../src/ops/logger.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** A forked process as the supervisor sees it. It answers nothing by itself. */
class SilentWorker extends EventEmitter {
  readonly process: { pid: number | undefined; kill(signal: NodeJS.Signals): void } = {
    pid: 1,
    kill: (signal) => {
      this.kills++;
      this.ends(null, signal);
    },
  };
  kills = 0;
  readonly sent: string[] = [];
  /** What a send to it fails with. */
  unsendable: Error | null = null;
  #dead = false;

  isDead(): boolean {
    return this.#dead;
  }

  isConnected(): boolean {
    return !this.#dead;
  }

  send({ kind }: { kind: string }, _socket?: Socket, done?: (error: Error | null) => void): void {
    this.sent.push(kind);
    done?.(this.unsendable);
  }

  says(message: ToPrimary): void {
    this.emit('message', message);
  }

  ends(code: number | null, signal: NodeJS.Signals | null): void {
    this.#dead = true;
    this.emit('exit', code, signal);
  }
}

function start(t: TestContext, role: WorkerRole) {
  const clock = new ManualClock();
  const workers: SilentWorker[] = [];
  let flags: readonly string[] | undefined = [];
  const setup = mock.method(cluster, 'setupPrimary', (settings?: { execArgv?: string[] }) => {
    flags = settings?.execArgv;
  });
  t.after(() => setup.mock.restore());
  const fork = mock.method(cluster, 'fork', () => {
    flagsOf.push(flags);
    const worker = new SilentWorker();
    workers.push(worker);
    return worker as unknown as Worker;
  });
  t.after(() => fork.mock.restore());
  const nothing = (): void => {};
  /** What Node was told for each worker. */
  const flagsOf: (readonly string[] | undefined)[] = [];
  const gone: SilentWorker[] = [];
  const sends: SendToWorker[] = [];
  const ended: WorkerRole[] = [];
  const events: SupervisorEvents = {
    joined: (_name, _role, send) => {
      sends.push(send);
      const worker = workers.at(-1) as SilentWorker;
      return { items: nothing, report: nothing, peerLost: nothing, gone: () => gone.push(worker) };
    },
    ready: nothing,
    failed: nothing,
    writer: nothing,
    ended: (role) => ended.push(role),
    backup: nothing,
    attempt: () => 0,
  };
  const log = createLogger('silent', {});
  const launchOf = (of: WorkerRole, name: string) => ({ env: {}, execArgv: [`--${of}`, `--${name}`] });
  const supervisor = new Supervisor(clock, log, launchOf, events);
  supervisor.run(role, role);
  return { clock, supervisor, workers, gone, sends, ended, flagsOf };
}

/** The worker answers each ping meanwhile. */
function answersFor(seconds: number, clock: ManualClock, worker: SilentWorker | undefined): void {
  for (let s = 0; s < seconds; s++) {
    clock.advance(1_000);
    worker?.says({ kind: 'pong' });
  }
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

test('G8: a writer that hangs while it stands by is replaced; once it takes the database over, it is waited for', (t) => {
  const standby = { kind: 'standby', holder: 'another node', readable: true } as const;
  const { clock, workers } = start(t, 'writer');
  workers[0]?.says({ kind: 'writer', status: standby });
  clock.advance(32_000);
  assert.equal(workers.length, 2);
  workers[1]?.says({ kind: 'writer', status: standby });
  workers[1]?.says({ kind: 'taking-over' });
  clock.advance(120_000);
  assert.equal(workers.length, 2);
});

test('a worker that waits for something while it starts, and answers, is left alone', (t) => {
  const { clock, supervisor, workers } = start(t, 'gateway');
  answersFor(120, clock, workers[0]);
  assert.equal(workers.length, 1);
  assert.equal(supervisor.trouble, 'not started yet: gateway');
});

test('a writer that stands by has started, and is missed by nobody', (t) => {
  const { clock, supervisor, workers } = start(t, 'writer');
  workers[0]?.says({ kind: 'writer', status: { kind: 'standby', holder: 'another node', readable: true } });
  answersFor(60, clock, workers[0]);
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
      workers.at(-1)?.process.kill('SIGKILL');
      clock.advance(1_000);
    }
    assert.equal(supervisor.trouble, 'crash loop: writer');
    workers.at(-1)?.says({ kind: 'failed', reason: 'the disk is full' });
    assert.equal(supervisor.trouble, 'crash loop: writer (the disk is full)', 'G10');
    workers.at(-1)?.ends(1, null);
    clock.advance(5_000);
    assert.equal(
      supervisor.trouble,
      'crash loop: writer (the disk is full)',
      'while the next one starts, too',
    );
    workers.at(-1)?.says(said);
    assert.equal(supervisor.trouble, 'crash loop: writer', 'this one can work');
    for (let s = 1; s <= 7; s++) {
      clock.advance(1_000);
      workers.at(-1)?.says({ kind: 'pong' });
      if (s < 5) assert.equal(supervisor.trouble, 'crash loop: writer', `${s} s are no proof`);
    }
    assert.equal(supervisor.trouble, undefined, said.kind);
  }
});

test('G10: a worker is absent until it does its work or stands by, and from its end until its successor does', (t) => {
  for (const said of [
    { kind: 'ready' },
    { kind: 'writer', status: { kind: 'standby', holder: 'another node', readable: true } },
  ] as const) {
    const { clock, supervisor, workers } = start(t, 'writer');
    supervisor.run('reader', 'reader');
    const [writer, reader] = workers as [SilentWorker, SilentWorker];
    assert.deepEqual(supervisor.absent, ['writer', 'reader']);
    reader.says({ kind: 'ready' });
    assert.deepEqual(supervisor.absent, ['writer']);
    writer.says(said);
    assert.deepEqual(supervisor.absent, []);
    writer.ends(1, null);
    assert.deepEqual(supervisor.absent, ['writer']);
    clock.advance(1_000);
    assert.deepEqual(supervisor.absent, ['writer']);
    assert.equal(
      supervisor.trouble,
      undefined,
      'one end is no reason to send no clients to the other workers',
    );
    workers.at(-1)?.says(said);
    assert.deepEqual(supervisor.absent, []);
  }
});

test('a writer that ends after it has stood by for long is no crash loop, however often', (t) => {
  const { clock, supervisor, workers } = start(t, 'writer');
  for (let end = 1; end <= 10; end++) {
    workers.at(-1)?.says({
      kind: 'writer',
      status: { kind: 'standby', holder: 'another node', readable: true },
    });
    answersFor(60, clock, workers.at(-1));
    workers.at(-1)?.ends(1, null);
    clock.advance(0);
    assert.equal(workers.length, end + 1, 'the next one is started at once');
    assert.equal(supervisor.trouble, undefined);
  }
});

test('G8 drain: a node that is told to end while it starts forks no more workers: a reader, once the writer leads', (t) => {
  const { supervisor, workers } = start(t, 'writer');
  supervisor.beginDrain();
  supervisor.run('reader', 'reader');
  assert.equal(workers.length, 1);
  assert.deepEqual(
    workers[0]?.sent,
    ['draining'],
    'or it would take a SIGTERM of its own for one of this worker alone',
  );
});

test('G8 drain: a worker that has crashed, and waits to be started again, is not', (t) => {
  const { clock, supervisor, workers } = start(t, 'gateway');
  workers[0]?.ends(1, null);
  supervisor.beginDrain();
  clock.advance(60_000);
  assert.equal(workers.length, 1);
});

test('G8 drain: a worker that ends while its node drains is not replaced', (t) => {
  const { clock, supervisor, workers, ended } = start(t, 'gateway');
  supervisor.beginDrain();
  workers[0]?.ends(1, null);
  clock.advance(60_000);
  assert.deepEqual([workers.length, ended], [1, []]);
});

test('G8 drain: one role drains, and the others go on: gateways finish before the writer; who has finished is not killed at the deadline', async (t) => {
  const { clock, supervisor, workers } = start(t, 'gateway');
  supervisor.run('writer', 'writer');
  const [gateway, writer] = workers as [SilentWorker, SilentWorker];
  supervisor.beginDrain();
  const killed = supervisor.drain('gateway', 2_000);
  assert.deepEqual(
    [gateway, writer].map(({ sent }) => sent),
    [['draining', 'drain'], ['draining']],
  );
  gateway.ends(0, null);
  assert.equal(await killed, 0);
  clock.advance(2_000);
  assert.deepEqual([gateway.kills, writer.kills], [0, 0]);
});

test('G8 drain: who has not finished by the deadline is killed, and counts; who has, or was ended by what asks all to finish, does not', async (t) => {
  const { clock, supervisor, workers } = start(t, 'reader');
  for (const name of ['2', '3', '4']) supervisor.run('reader', name);
  const [ended, finishes, asked, stuck] = workers as [SilentWorker, SilentWorker, SilentWorker, SilentWorker];
  supervisor.beginDrain();
  ended.ends(0, null);
  const killed = supervisor.drain('reader', 2_000);
  assert.deepEqual(
    [ended, finishes].map(({ sent }) => sent.includes('drain')),
    [false, true],
  );
  finishes.ends(0, null);
  asked.ends(null, 'SIGTERM');
  clock.advance(1_900);
  assert.equal(stuck.isDead(), false);
  clock.advance(100);
  assert.equal(stuck.isDead(), true);
  assert.equal(await killed, 1);
});

test('workers that are dismissed are ended at once, and replaced only when they are wanted again', (t) => {
  const { clock, supervisor, workers, gone } = start(t, 'reader');
  supervisor.run('reader', 'reader 2');
  workers[1]?.ends(1, null);
  supervisor.dismiss('reader');
  assert.equal(workers[0]?.isDead(), true);
  assert.deepEqual(gone, [workers[1], workers[0]], 'what they owe is given to others');
  clock.advance(60_000);
  assert.equal(workers.length, 2);
  assert.deepEqual(supervisor.workers, []);
  supervisor.run('reader', 'reader');
  supervisor.run('reader', 'reader');
  assert.equal(workers.length, 3);
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
  const fork = mock.method(cluster, 'fork', () => {
    throw new Error('spawn ENOMEM');
  });
  workers[0]?.process.kill('SIGKILL');
  clock.advance(30_000);
  assert.equal(supervisor.trouble, 'no process for: gateway');
  fork.mock.restore();
  clock.advance(5_000);
  assert.equal(workers.length, 2, 'G8: it is back once one can be made');
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

test('what an operator is told of the workers: their processes, since when they work, how often they ended', (t) => {
  const { clock, supervisor, workers, ended } = start(t, 'gateway');
  supervisor.run('reader', 'reader');
  const is = (name: string) => supervisor.workers.find((worker) => worker.name === name);
  assert.deepEqual(is('gateway'), { name: 'gateway', pid: 1, upMs: null, restarts: 0 });
  assert.deepEqual([supervisor.ready('gateway'), supervisor.ready('reader')], [0, 0]);
  workers[0]?.says({ kind: 'ready' });
  clock.advance(3_000);
  assert.deepEqual(is('gateway'), { name: 'gateway', pid: 1, upMs: 3_000, restarts: 0 });
  assert.deepEqual([supervisor.ready('gateway'), supervisor.ready('reader')], [1, 0]);
  workers[0]?.ends(1, null);
  assert.deepEqual([is('gateway')?.upMs, is('gateway')?.restarts, ended], [null, 1, ['gateway']]);
  assert.equal(supervisor.ready('gateway'), 0);
});

test('a worker is started with the flags of its role', (t) => {
  const { clock, supervisor, workers, flagsOf } = start(t, 'gateway');
  supervisor.run('reader', 'reader 1');
  workers[0]?.ends(1, null);
  clock.advance(0);
  const gateway = ['--gateway', '--gateway'];
  assert.deepEqual(flagsOf, [gateway, ['--reader', '--reader 1'], gateway]);
});

test('what is said to a role reaches its workers, and nobody who has ended', (t) => {
  const { supervisor, workers } = start(t, 'reader');
  supervisor.run('reader', 'reader 2');
  supervisor.run('gateway', 'gateway');
  workers[0]?.ends(1, null);
  supervisor.tell('reader', { kind: 'serve' });
  assert.deepEqual(
    workers.map(({ sent }) => sent),
    [[], ['serve'], []],
  );
});

test('a socket that a worker is sent, and can no longer get, is closed: nobody else would', (t) => {
  const { workers, sends } = start(t, 'gateway');
  const [worker, send] = [workers[0] as SilentWorker, sends[0] as SendToWorker];
  const sockets = [1, 2, 3].map(() => new Socket());
  send({ kind: 'peer' }, sockets[0]);
  worker.unsendable = new Error('write EPIPE');
  send({ kind: 'peer' }, sockets[1]);
  worker.ends(1, null);
  send({ kind: 'peer' }, sockets[2]);
  assert.deepEqual(
    sockets.map(({ destroyed }) => destroyed),
    [false, true, true],
  );
});

test('a worker that no process came to be for is tried again once, however often its channel fails; other errors of a channel end nothing', (t) => {
  const { clock, workers, gone } = start(t, 'gateway');
  const [first] = workers as [SilentWorker];
  first.process.pid = undefined;
  for (let i = 0; i < 3; i++) first.emit('error', new Error('spawn EAGAIN'));
  first.emit('exit', -11, null);
  clock.advance(0);
  assert.deepEqual([workers.length, gone], [2, [first]]);
  workers[1]?.emit('error', new Error('write EPIPE'));
  clock.advance(1_000);
  assert.equal(workers.length, 2);
});

test('G8: a primary that stood still does not take its own silence for that of its workers', (t) => {
  const { clock, workers } = start(t, 'gateway');
  workers[0]?.says({ kind: 'ready' });
  clock.sleep(60_000);
  assert.equal(workers.length, 1);
  workers[0]?.says({ kind: 'pong' });
  assert.ok(workers[0]?.sent.includes('ping'));
  clock.advance(10_000);
  assert.equal(workers.length, 2, 'it is asked again from then on');
});

test('a node that gives up leaves no process behind, and starts none', (t) => {
  const { clock, supervisor, workers } = start(t, 'gateway');
  supervisor.run('reader', 'reader');
  supervisor.run('writer', 'writer');
  workers[2]?.ends(1, null);
  supervisor.killAll();
  assert.deepEqual(
    workers.map(({ kills }) => kills > 0 || 'dead'),
    [true, true, true],
  );
  clock.advance(60_000);
  assert.equal(workers.length, 3);
  assert.equal(clock.timers, 0);
});
