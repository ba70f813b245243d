import { closeSync, copyFileSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { Histogram, type Latency } from './histogram.ts';
import { buildHistory, type HistoryDatabase } from './history-db.ts';
import { startParleyOn } from './parley.ts';
import { cpuBetween, sampleCpu, total } from './process-table.ts';
import { temporaryDirectory } from './processes.ts';
import type { Running } from './running.ts';
import { type Measurement, NAMES } from './scenarios.ts';
import type { ParleySystem } from './systems.ts';

/*
 * Pages of 50 messages at random places of a long and a short history, over HTTP, one after the other.
 */

export const HISTORY_SIZES = [100_000, 10_000_000] as const;
const PAGE = 50;
/** Until what answers is compiled, and the first full collections are over: both fall on some 60 ms, and would be the 99th percentile. */
const WARM_REQUESTS = 3_000;
const REQUESTS = 5_000;

/** The database is copied for the server, which writes to it; `originals` holds it for the next time. */
export async function measureHistory(
  messages: number,
  system: ParleySystem,
  originals: string,
  say: (line: string) => void,
): Promise<Measurement> {
  mkdirSync(originals, { recursive: true });
  const original = join(originals, `history-${messages}.db`);
  const history = await buildHistory(original, messages, say);
  const directory = temporaryDirectory();
  const databasePath = join(directory, 'chat.db');
  copyFileSync(original, databasePath);
  flush(databasePath);
  const server = await startParleyOn({ directory, databasePath }, { redis: system === 'parley-redis' });
  try {
    const { latency, cpuUs } = await pages(server, history, messages);
    return {
      scenario: NAMES.history(messages),
      figures: { p50Ms: latency.p50, p99Ms: latency.p99, cpuUsPerPage: cpuUs / REQUESTS },
    };
  } finally {
    await server.stop();
  }
}

/** Or the kernel would write gigabytes while pages are fetched. */
function flush(path: string): void {
  const file = openSync(path, 'r+');
  fsyncSync(file);
  closeSync(file);
}

async function pages(
  server: Running,
  history: HistoryDatabase,
  messages: number,
): Promise<{ latency: Latency; cpuUs: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const tokens = new Map((await server.logins(1_000)).map((login) => [login.id, login.token!]));
  const request = async (at: number): Promise<number> => {
    // Every other page is from the longest conversation.
    const [user, peer] = history.pairs[at % 2 === 0 ? 0 : (at * 31) % history.pairs.length]!;
    const before = Math.max(1, Math.floor(Math.random() * messages));
    const path = `/history?with=${peer}&before=${before}&limit=${PAGE}`;
    const began = performance.now();
    const { status, body } = await fetchText(agent, server.port, path, tokens.get(user)!);
    const took = performance.now() - began;
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${body}`);
    return took;
  };
  const latency = new Histogram();
  for (let at = 0; at < WARM_REQUESTS; at += 1) await request(at);
  const cpu = sampleCpu(server.roots);
  for (let at = 0; at < REQUESTS; at += 1) latency.record((await request(at)) * 1000);
  const cpuUs = total(cpuBetween(cpu, sampleCpu(server.roots)));
  agent.destroy();
  return { latency: latency.summary(), cpuUs };
}

function fetchText(
  agent: Agent,
  port: number,
  path: string,
  token: string,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    get(
      { agent, host: '127.0.0.1', port, path, headers: { Authorization: `Bearer ${token}` } },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
        response.on('error', reject);
      },
    ).on('error', reject);
  });
}
