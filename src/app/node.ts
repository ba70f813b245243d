import cluster from 'node:cluster';
import { isIPv6 } from 'node:net';
import { MemoryAttempts } from '../auth/attempts.ts';
import { systemClock } from '../base/clock.ts';
import { IpcBroker } from '../bus/ipc/broker.ts';
import type { BrokerItem, BusItem } from '../bus/ipc/items.ts';
import { localLink } from '../bus/ipc/local-link.ts';
import { Introductions } from '../cluster/introductions.ts';
import { type ListenAddress, reservePort } from '../cluster/listen-address.ts';
import type { WriterStatus } from '../cluster/messages.ts';
import { Supervisor } from '../cluster/supervisor.ts';
import type { Config } from '../config/config.ts';
import { redactedUrl } from '../config/redis-url.ts';
import type { WorkerRole } from '../config/worker.ts';
import { OPEN_WARNING } from '../gateway/readiness.ts';
import { createLogger, type Logger } from '../ops/logger.ts';
import { MetricsSum, PrimaryMetrics } from '../ops/metrics.ts';
import { countsOf, type NodeSummary, SHUTTING_DOWN, sumOf } from '../ops/node-summary.ts';
import { type ConnectedBus, connectBus, type Wires } from './adapters.ts';
import { createAdminServer } from './admin.ts';
import { agreedSettings } from './agreed-settings.ts';
import { type BackupMade, Backups } from './backups.ts';
import { ClusterReports } from './cluster-reports.ts';
import { drainDeadlines } from './drain-times.ts';
import { fail, startFailure } from './fail.ts';
import { launchOf } from './launch.ts';
import { NodeHealth } from './node-health.ts';
import { nodeName } from './node-name.ts';
import { PROGRAM_VERSION } from './program-version.ts';
import { readConfigOrFail } from './read-config.ts';

/** How long a node waits for another process to leave its database, in milliseconds. */
const LOCKED_PATIENCE_MS = 4_000;
const TELL_TROUBLE_EVERY_MS = 500;
const LOOK_AT_REDIS_EVERY_MS = 1_000;
const PARENT_CHECK_MS = 250;
/** A smaller difference from Redis's clock is not reported, in seconds. */
const CLOCKS_APART_S = 5;

/** Runs a node: the primary and, through it, its workers. */
export async function startNode(environment: NodeJS.ProcessEnv): Promise<void> {
  const parent = process.ppid;
  const config = readConfigOrFail(environment);
  process.title = 'parley: primary';
  if (config.bus.kind === 'redis') {
    const { redis } = config.bus;
    const { probeRedis } = await import('../bus/redis/probe.ts');
    await probeRedis(redis).catch((error: Error) =>
      fail(`Redis at ${redactedUrl(redis)} can't be used: ${error.message}.`),
    );
  }
  const node = nodeName();
  const { host, port } = config.http;
  const reserved =
    config.gateways === 0
      ? { port, release: () => {} }
      : await reservePort(host, port).catch((error) => fail(startFailure(error, config.http)));
  const running = new Node(
    // With PORT=0, the port is chosen once, so that all workers listen on the same.
    { ...config, http: { ...config.http, port: reserved.port } },
    node,
    createLogger(config.logLevel, { node, worker: 'primary' }),
    reserved.release,
  );
  running.start();
  if (environment['npm_lifecycle_event'] === 'start') running.stopWith(parent);
}

/** The address under which a person reaches it. */
function urlOf({ host, port }: ListenAddress): string {
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return `http://${isIPv6(name) ? `[${name}]` : name}:${port}`;
}

class Node {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #broker: IpcBroker | undefined;
  readonly #introductions: Introductions | undefined;
  readonly #supervisor: Supervisor;
  readonly #name: string;
  readonly #releasePort: () => void;
  readonly #sum = new MetricsSum<{ readonly name: string }>();
  readonly #metrics: PrimaryMetrics;
  readonly #health: NodeHealth;
  /** The primary's own connection to the bus. */
  #bus: ConnectedBus | undefined;
  #reports: ClusterReports | undefined;
  /** Counts for all of the node's gateways, unless Redis counts for the cluster. */
  readonly #attempts = new MemoryAttempts(systemClock);
  readonly #backups: Backups;
  #address: ListenAddress | undefined;
  #writer: WriterStatus | undefined;
  /** Whether readers may answer from the database, by the last word of this writer or the one before it. */
  #mayServe = false;
  #hadDatabase = false;
  #started = false;
  #draining = false;

  /** @param releasePort called when a gateway listens */
  constructor(config: Config, node: string, log: Logger, releasePort: () => void) {
    this.#name = node;
    this.#releasePort = releasePort;
    this.#config = config;
    this.#log = log;
    this.#broker = config.bus.kind === 'ipc' ? new IpcBroker() : undefined;
    this.#introductions = this.#broker && new Introductions(systemClock, log);
    this.#health = new NodeHealth(log, () => this.#bus?.trouble);
    this.#backups = new Backups(config.database.path, (file) =>
      this.#supervisor.tell('writer', { kind: 'backup', file }),
    );
    this.#metrics = new PrimaryMetrics(
      { version: PROGRAM_VERSION, node: process.versions.node },
      {
        workers: () => this.#workers(),
        leads: () => this.#writer?.kind === 'leader' && !this.#writer.lapsed,
        ready: () => this.#problem === undefined,
        redisUp: () => this.#health.redis === undefined,
      },
    );
    this.#supervisor = new Supervisor(
      systemClock,
      log,
      (role, name) =>
        launchOf({ role, name, node, version: PROGRAM_VERSION, config, hadDatabase: this.#hadDatabase }),
      {
        joined: (name, role, send) => {
          let deliver = (_: readonly BusItem[]): void => {};
          const gone = this.#broker?.attach({
            send: (items) => send({ kind: 'bus', items }),
            onItems: (listener) => {
              deliver = listener;
            },
          });
          const introduced = this.#introductions?.joined(role, send);
          if (this.#mayServe) send({ kind: 'serve' });
          const worker = { name };
          return {
            items: (items) => deliver(items),
            report: (metrics, state) => {
              this.#sum.update(worker, metrics);
              this.#health.hear(name, state);
            },
            peerLost: () => introduced?.lost(),
            gone: () => {
              gone?.();
              introduced?.gone();
              this.#health.gone(name);
              void this.#sum.departed(worker);
            },
          };
        },
        ready: (name, address) => this.#ready(name, address),
        failed: (name, reason) => this.#failed(name, reason),
        writer: (status) => this.#heardWriter(status),
        ended: (role) => {
          this.#metrics.restarts.inc({ role });
          if (role !== 'writer') return;
          // Unknown until the next writer reports.
          this.#writer = undefined;
          this.#backups.writerEnded();
        },
        backup: (result) => this.#backups.heard(result),
        attempt: (attempt) => this.#attempts.count(attempt),
      },
    );
  }

  start(): void {
    // Measured on batches of events: a third cheaper than JSON at both ends.
    cluster.setupPrimary({ serialization: 'advanced' });
    process.on('SIGTERM', () => void this.#stop('SIGTERM'));
    process.on('SIGINT', () => void this.#stop('SIGINT'));
    // When a terminal closes, both the kernel and the shell may send this. So a second one does not force the end.
    process.on('SIGHUP', () => {
      if (!this.#draining) void this.#stop('SIGHUP');
    });
    // Readers and gateways load while the writer opens the database. They are not ready before it is.
    if (this.#config.role !== 'gateway') {
      this.#supervisor.run('writer', 'writer');
      this.#runReaders();
    }
    for (let i = 1; i <= this.#config.gateways; i++) this.#supervisor.run('gateway', `gateway ${i}`);
    setInterval(() => this.#tellTrouble(), TELL_TROUBLE_EVERY_MS);
    setInterval(() => {
      // While draining, workers leave Redis on purpose.
      if (!this.#draining) this.#health.look();
    }, LOOK_AT_REDIS_EVERY_MS);
    void this.#listenForOperators();
  }

  /** npm runs scripts in a shell that ends at a signal without passing it on. That end is all that a node notices of a signal to npm. */
  stopWith(parent: number): void {
    const watch = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(watch);
      if (!this.#draining) void this.#stop('the end of npm');
    }, PARENT_CHECK_MS);
  }

  #workers(): Record<WorkerRole, number> {
    return {
      gateway: this.#supervisor.ready('gateway'),
      reader: this.#supervisor.ready('reader'),
      writer: this.#supervisor.ready('writer'),
    };
  }

  /** Why the node does not do everything it should, whether or not that is its own fault; undefined if it does. */
  get #problem(): string | undefined {
    return this.#trouble ?? this.#health.failing[0];
  }

  /** Why the node's processes do not do everything they should; undefined if they do. */
  get #trouble(): string | undefined {
    if (this.#draining) return SHUTTING_DOWN;
    const { trouble } = this.#supervisor;
    if (!this.#started) return `this node is starting${trouble === undefined ? '' : `; ${trouble}`}`;
    if (this.#writer?.kind === 'refused') return this.#writer.reason;
    if (trouble !== undefined) return trouble;
    const { absent } = this.#supervisor;
    return absent.length === 0 ? undefined : `being replaced: ${absent.join(', ')}`;
  }

  /** Whether its clock differs from the others', in words: a reason to look, but not to stop serving. */
  get #clockWrong(): string[] {
    const seconds = Math.round((this.#bus?.clockAheadMs ?? 0) / 1000);
    if (Math.abs(seconds) < CLOCKS_APART_S) return [];
    return [
      `its clock is ${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'} Redis's, so that tokens expire at the wrong time, and latencies are wrong`,
    ];
  }

  /** What this node's writer is: there is none without a store, or while one is being replaced. */
  get #writerIs(): NodeSummary['writer'] {
    return this.#writer?.kind ?? 'elsewhere';
  }

  async #summary(): Promise<NodeSummary> {
    const sockets = new Map(
      [...this.#sum.living].map(([{ name }, metrics]) => [name, sumOf([metrics], 'parley_sockets')]),
    );
    return {
      node: this.#name,
      version: PROGRAM_VERSION,
      role: this.#config.role,
      upMs: Math.round(process.uptime() * 1000),
      trouble: this.#trouble,
      failing: this.#draining ? [] : [...this.#health.failing, ...this.#clockWrong],
      readyGateways: this.#draining ? 0 : this.#health.readyGateways,
      writer: this.#writerIs,
      workers: this.#supervisor.workers.map((worker) => ({
        ...worker,
        sockets: sockets.get(worker.name) ?? 0,
      })),
      counts: countsOf([...this.#sum.snapshots(), await this.#metrics.snapshot()]),
    };
  }

  /** Connects to the bus on which nodes report their state to each other. */
  async #connectReports(): Promise<ClusterReports> {
    const [mine, brokers] = localLink<BusItem, BrokerItem>();
    this.#broker?.attach(brokers);
    let introduced: { lost(): void } | undefined;
    const wires: Wires = {
      bus: mine,
      onPeer: (listener) => {
        introduced = this.#introductions?.joined('primary', (_, socket) => socket && listener(socket));
      },
      peerLost: () => introduced?.lost(),
    };
    this.#bus = await connectBus(this.#config, 'primary', 'primary', wires, this.#log);
    return new ClusterReports(this.#name, this.#bus.bus, async () => ({
      ...(await this.#summary()),
      settings: agreedSettings(this.#config),
    }));
  }

  async #listenForOperators(): Promise<void> {
    const { host, port, localNamesOnly, chosen } = this.#config.admin;
    const reports = await this.#connectReports();
    this.#reports = reports;
    await reports.start();
    const server = createAdminServer({
      localNamesOnly,
      metrics: async () => this.#sum.text(await this.#metrics.snapshot()),
      cluster: (after) => reports.answer(after),
      state: () => ({
        trouble: this.#problem,
        writer: this.#writerIs,
        workers: this.#workers(),
      }),
      backUp: (file, meant) => this.#backUp(file, meant),
      onError: (err) => this.#log.error({ event: 'admin_request_failed', err }, 'admin request failed'),
    });
    try {
      const listening = await server.listen(host, port);
      this.#log.debug({ event: 'admin', host, port: listening }, 'metrics are served');
    } catch (error) {
      const why = startFailure(error, { host, port }, 'ADMIN_');
      if (chosen) this.#giveUp(why);
      // With several nodes on one machine, only the first can have the default port.
      this.#log.warn({ event: 'no_admin' }, `this node serves no metrics and takes no back-ups: ${why}`);
    }
  }

  async #backUp(file: string, meant: string | undefined): Promise<BackupMade> {
    const writer = this.#writer?.kind;
    if (this.#config.role === 'gateway' || writer === 'standby' || writer === 'refused')
      throw new Error(
        'this node is not the writer: set ADMIN_PORT (and ADMIN_HOST) to those of the node that is; the cluster page names it',
      );
    // A back-up that nobody hears of would never be answered.
    if (this.#draining) throw new Error('this server is shutting down');
    if (writer === undefined || this.#supervisor.ready('writer') === 0)
      throw new Error('the writer is just starting: ask again in a few seconds');
    return this.#backups.make(file, meant);
  }

  #heardWriter(status: WriterStatus): void {
    this.#writer = status;
    if (status.kind === 'standby' && this.#config.bus.kind === 'ipc') {
      // If its process was just killed, the lock is free in a moment.
      const patience = setTimeout(() => {
        if (this.#writer?.kind === 'standby')
          this.#giveUp(`the database ${this.#config.database.path} is in use by ${status.holder}.`);
      }, LOCKED_PATIENCE_MS);
      patience.unref();
      return;
    }
    // A database that is not, or no longer, the cluster's must not answer its queries: a copy is as good as the original only
    // until that grows. One that an older version still writes is read once this version has migrated it.
    this.#mayServe = status.kind === 'leader' || (status.kind === 'standby' && status.readable);
    this.#hadDatabase ||= this.#mayServe;
    if (this.#mayServe) {
      this.#runReaders();
      this.#supervisor.tell('reader', { kind: 'serve' });
    } else this.#supervisor.dismiss('reader');
    this.#sayStarted();
  }

  #runReaders(): void {
    for (let i = 1; i <= this.#config.readers; i++)
      this.#supervisor.run('reader', this.#config.readers > 1 ? `reader ${i}` : 'reader');
  }

  #ready(name: string, address: ListenAddress | undefined): void {
    this.#address ??= address;
    if (address) this.#releasePort();
    this.#log.debug({ event: 'worker_ready', name }, 'worker ready');
    this.#sayStarted();
  }

  /** Logs the start once everything the node should have is there. */
  #sayStarted(): void {
    const { role, bus, database, auth, gateways } = this.#config;
    if (this.#started || this.#draining || this.#supervisor.ready('gateway') < gateways) return;
    if (role !== 'gateway' && this.#writer === undefined) return;
    if (this.#mayServe && this.#supervisor.ready('reader') < this.#config.readers) return;
    this.#started = true;
    const url = this.#address && urlOf(this.#address);
    const mode = bus.kind === 'ipc' ? 'embedded' : `cluster over ${redactedUrl(bus.redis)}`;
    this.#log.info(
      {
        event: 'started',
        url,
        role,
        mode,
        gateways,
        readers: this.#supervisor.ready('reader'),
        writer: this.#writerIs,
        database: role === 'gateway' ? undefined : database.path,
        auth: auth.mode,
      },
      `Parley ${url ? `is at ${url}` : 'runs'} (${mode}; auth ${auth.mode})`,
    );
    if (auth.mode === 'open') {
      this.#log.warn({ event: 'auth_open' }, OPEN_WARNING);
    }
  }

  #failed(name: string, reason: string): void {
    this.#log.error({ event: 'worker_failed', name }, reason);
    // A failure at the first start is for a person to fix. Later, the worker is restarted. In a drain, the others finish.
    if (!this.#started && !this.#draining) this.#giveUp(reason);
  }

  #giveUp(reason: string): never {
    this.#supervisor.killAll();
    fail(reason);
  }

  #tellTrouble(): void {
    if (this.#draining) return;
    this.#supervisor.tell('gateway', { kind: 'trouble', trouble: this.#supervisor.trouble });
  }

  /** Gateways stop before the store, because what they have accepted must still be committed (G8). */
  async #stop(signal: string): Promise<void> {
    if (this.#draining) {
      this.#log.warn({ event: 'forced' }, 'second signal: ended at once');
      this.#supervisor.killAll();
      process.exit(1);
    }
    this.#draining = true;
    const begun = performance.now();
    const { gateways, all } = drainDeadlines(this.#config.shutdownTimeoutMs);
    this.#log.info({ event: 'draining', signal }, 'shutting down');
    this.#supervisor.beginDrain();
    // The store may be gone before the next report. Without this one, the other nodes would report it as lost.
    void this.#reports?.tell();
    let killed = await this.#supervisor.drain('gateway', gateways);
    const left = all - (performance.now() - begun);
    for (const count of await Promise.all([
      this.#supervisor.drain('writer', left),
      this.#supervisor.drain('reader', left),
    ]))
      killed += count;
    if (killed === 0) this.#log.info({ event: 'stopped', killed }, 'stopped');
    else this.#log.warn({ event: 'stopped', killed }, 'stopped: not every worker finished in time');
    process.exit(killed === 0 ? 0 : 1);
  }
}
