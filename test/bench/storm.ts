import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '../../src/client/backoff.ts';
import type { Client } from './client.ts';
import { type Crowd, TEXT_LENGTH } from './crowd.ts';
import { Histogram, type Latency } from './histogram.ts';
import { atRate } from './loops.ts';

/*
 * A worker is killed under load; the clients it held come back as real ones do: after the random wait of our own client, and
 * after longer ones when that failed. Messages go on all the time, also to those who are away, and every one is accounted for.
 */

const GIVE_UP_MS = 60_000;
/** How long the last messages may take once all are back. */
const SETTLE_MS = 10_000;

export type Storm = {
  /** Clients that lost their connection. */
  readonly lost: number;
  readonly notBack: number;
  /** Attempts to connect that got no answer at all until the client's time-out. */
  readonly hung: number;
  /** From the kill until the last one was back and caught up. */
  readonly allBackSeconds: number;
  /** From the kill until a client was back and caught up. */
  readonly back: Latency;
  readonly sent: number;
  /** Acknowledged to the sender, and never received by the other user. */
  readonly missing: number;
  readonly duplicates: number;
  /** The sender never learned what became of it. */
  readonly unanswered: number;
};

/** Numbers of the messages each user has sent. */
type SentBy = Map<number, number[]>;

export async function storm(crowd: Crowd, pids: readonly number[], perSecond: number): Promise<Storm> {
  const { traffic, clients } = crowd;
  if (crowd.resumes) for (const client of clients) client.followIds = true;
  const firstNumber = traffic.last;
  const sentBy: SentBy = new Map();
  traffic.beginWindow();
  const stop = atRate(perSecond, (intended, count) => {
    const sender = nextLive(clients, (count * 7919) % clients.length);
    const receiver = (count * 104_729 + 1) % clients.length;
    if (sender === undefined || sender.user === receiver) return;
    const number = traffic.send(sender, receiver, crowd.template(receiver, TEXT_LENGTH), intended);
    const own = sentBy.get(sender.user);
    if (own === undefined) sentBy.set(sender.user, [number]);
    else own.push(number);
  });
  await sleep(1_000);

  const back = new Histogram();
  let lost = 0;
  let away = 0;
  let lastBackAt = 0;
  let hung = 0;
  const onHung = (): void => {
    hung += 1;
  };
  const killedAt = performance.now();
  const deadline = killedAt + GIVE_UP_MS;
  crowd.onLost = (client) => {
    lost += 1;
    away += 1;
    void comeBack(crowd, client, sentBy, deadline, onHung).then((returned) => {
      if (!returned) return;
      away -= 1;
      lastBackAt = performance.now();
      back.record((lastBackAt - killedAt) * 1000);
    });
  };
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  do await sleep(50);
  while ((lost === 0 || away > 0) && performance.now() < deadline);
  await sleep(1_000);
  stop();

  const settledBy = performance.now() + SETTLE_MS;
  while (performance.now() < settledBy) {
    const { missing, unanswered } = unsettled(crowd, firstNumber);
    if (missing + unanswered === 0) break;
    await sleep(100);
  }
  crowd.onLost = () => undefined;
  const { sent, duplicates } = traffic.endWindow()(0);
  return {
    lost,
    notBack: away,
    hung,
    allBackSeconds: (lastBackAt - killedAt) / 1000,
    back: back.summary(),
    sent,
    duplicates,
    ...unsettled(crowd, firstNumber),
  };
}

async function comeBack(
  crowd: Crowd,
  lost: Client,
  sentBy: SentBy,
  deadline: number,
  onHung: () => void,
): Promise<boolean> {
  let { resume } = lost;
  for (let attempt = 0; performance.now() < deadline; attempt += 1) {
    await sleep(backoffMs(attempt, Math.random));
    try {
      const client = await crowd.open(lost.user, resume);
      client.followIds = crowd.resumes;
      if (crowd.resumes) sendUnanswered(crowd, client, sentBy.get(client.user) ?? []);
      return true;
    } catch (error) {
      if ((error as Error).message === 'timeout') onHung();
      // What its pages brought before it was lost again need not come twice.
      resume = crowd.clients[lost.user]!.resume;
    }
  }
  return false;
}

/** What a client does that is back: it sends again, under the same `client_id`, what it has no answer to. */
function sendUnanswered(crowd: Crowd, client: Client, numbers: readonly number[]): void {
  for (const number of numbers) {
    const receiver = crowd.traffic.unanswered(number);
    if (receiver === undefined) continue;
    crowd.traffic.sendAgain(client, number, crowd.template(receiver, TEXT_LENGTH));
  }
}

function unsettled(crowd: Crowd, after: number): { missing: number; unanswered: number } {
  let missing = 0;
  let unanswered = 0;
  for (const message of crowd.traffic.since(after)) {
    if (!message.echoed) unanswered += 1;
    else if (!message.delivered) missing += 1;
  }
  return { missing, unanswered };
}

function nextLive(clients: readonly Client[], from: number): Client | undefined {
  for (let step = 0; step < clients.length; step += 1) {
    const client = clients[(from + step) % clients.length]!;
    if (client.live) return client;
  }
  return undefined;
}
