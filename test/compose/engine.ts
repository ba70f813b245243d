import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { findProgram } from '../support/programs.ts';
import { ROOT } from '../support/root.ts';

/*
 * The container engine, through its own command lines: docker, and compose v2 or 1.29, whichever is there.
 */

const run = promisify(execFile);

const works = (program: string, ...args: string[]): boolean =>
  spawnSync(program, args, { stdio: 'ignore' }).status === 0;

/** Why nothing can be run here, in one line; undefined if all is there. */
export function whatIsMissing(): string | undefined {
  if (!works('docker', 'version')) return 'no container engine answers (docker version)';
  if (composeCommand() === undefined) return 'neither docker compose nor docker-compose is there';
  if (promtoolCommand() === undefined)
    return `promtool is neither on the PATH (Debian: apt-get install prometheus) nor to be had as ${prometheusImage()}`;
  return undefined;
}

function composeCommand(): readonly [string, ...string[]] | undefined {
  if (works('docker', 'compose', 'version')) return ['docker', 'compose'];
  return works('docker-compose', 'version') ? ['docker-compose'] : undefined;
}

/** The image that docker-compose.yml names for Prometheus. */
function prometheusImage(): string {
  const file = readFileSync(path.join(ROOT, 'docker-compose.yml'), 'utf8');
  return /image: (prom\/prometheus:\S+)/.exec(file)?.[1] ?? 'prom/prometheus';
}

/** promtool of this machine, or of that image. */
function promtoolCommand(): readonly [string, ...string[]] | undefined {
  if (findProgram('promtool') !== undefined) return ['promtool'];
  const image = prometheusImage();
  if (!works('docker', 'image', 'inspect', image) && !works('docker', 'pull', image)) return undefined;
  const here = ['--volume', `${ROOT}:/parley:ro`, '--workdir', '/parley'];
  return ['docker', 'run', '--rm', '-i', ...here, '--entrypoint', 'promtool', image];
}

/** Runs promtool in the project's folder; its exit code and all it said. */
export function promtool(args: readonly string[], input = '') {
  const [program, ...first] = promtoolCommand() ?? ['promtool'];
  const options = { cwd: ROOT, input, encoding: 'utf8' } as const;
  const { status, stdout, stderr, error } = spawnSync(program, [...first, ...args], options);
  return { status, said: error === undefined ? `${stdout}${stderr}` : error.message };
}

/** Rejects with what the engine said. Resolves with its output. */
export async function docker(...args: string[]): Promise<string> {
  const { stdout } = await run('docker', args, { maxBuffer: 64 * 1024 * 1024 });
  return stdout.trim();
}

export const SERVICES = ['lb', 'gateway', 'store', 'redis'] as const;
export type ServiceName = (typeof SERVICES)[number];

/** One project made from docker-compose.yml, apart from any other on this machine. */
export class Stack {
  readonly project: string;
  readonly #env: Record<string, string>;
  readonly #command = composeCommand() ?? ['docker', 'compose'];

  constructor(project: string, env: Readonly<Record<string, string>>) {
    this.project = project;
    this.#env = { ...env, COMPOSE_PROJECT_NAME: project };
  }

  async compose(...args: string[]): Promise<string> {
    const [program, ...first] = this.#command;
    const { stdout } = await run(program, [...first, ...args], {
      cwd: ROOT,
      env: { ...process.env, ...this.#env },
      maxBuffer: 64 * 1024 * 1024,
    }).catch(({ stderr }: { stderr: string }) => {
      throw new Error(`compose ${args.join(' ')}:\n${stderr.split('\n').slice(-12).join('\n')}`);
    });
    return stdout.trim();
  }

  /** Ids of a service's running containers, oldest first. */
  async containers(service: ServiceName): Promise<string[]> {
    const ids = await docker(
      'ps',
      '--quiet',
      '--no-trunc',
      '--filter',
      `label=com.docker.compose.project=${this.project}`,
      '--filter',
      `label=com.docker.compose.service=${service}`,
    );
    return ids.split('\n').filter(Boolean).reverse();
  }

  async container(service: ServiceName): Promise<string> {
    const [id] = await this.containers(service);
    if (id === undefined) throw new Error(`no container of ${service} is running`);
    return id;
  }

  /** The networks a container is on. */
  async networks(id: string): Promise<string[]> {
    const format = '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}';
    return (await docker('inspect', '--format', format, id)).split(' ').filter(Boolean);
  }

  async isHealthy(id: string): Promise<boolean> {
    return (await docker('inspect', '--format', '{{.State.Health.Status}}', id)) === 'healthy';
  }

  /** What the containers have said so far. */
  logs(): Promise<string> {
    return this.compose('logs', '--no-color', '--timestamps');
  }

  async down(): Promise<void> {
    await this.compose('down', '--volumes', '--remove-orphans', '--timeout', '5');
  }
}
