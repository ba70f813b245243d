import { setTimeout as sleep } from 'node:timers/promises';
import { type Connected, Crowd, TEXT_LENGTH } from './crowd.ts';
import type { Login, Protocol } from './dialect.ts';
import { atRate, closedLoop, type Measured, openLoop, type Plan } from './loops.ts';
import { type Storm, storm } from './storm.ts';

/*
 * The load generator: a process of its own, told what to do over IPC (generator.ts is the other end).
 */

/** So long that what a slow reader leaves unread grows past every kernel buffer soon. */
const LONG_TEXT_LENGTH = 7_000;

export type LongTexts = { readonly perSecond: number; readonly read: boolean };
export type Commands = {
  aim: { ask: { port: number; protocol: Protocol; roots: readonly number[] }; answer: null };
  connect: { ask: { logins: readonly Login[] }; answer: Connected };
  closed: { ask: Plan & { inFlight: number }; answer: Measured };
  /** The first `users` send to each other, and, if `long` is given, long texts to the others, who read them or do not. */
  open: { ask: Plan & { users: number; perSecond: number; long?: LongTexts }; answer: Measured };
  storm: { ask: { kill: readonly number[]; perSecond: number }; answer: Storm };
  end: { ask: Record<string, never>; answer: null };
};
export type Order = { [C in keyof Commands]: { readonly command: C } & Commands[C]['ask'] }[keyof Commands];
export type Reply = { readonly answer: unknown } | { readonly error: string };

let crowd: Crowd;
let roots: readonly number[] = [];

async function obey(order: Order): Promise<unknown> {
  switch (order.command) {
    case 'aim':
      crowd = new Crowd(order.port, order.protocol);
      roots = order.roots;
      return null;
    case 'connect':
      return crowd.connect(order.logins);
    case 'closed':
      return closedLoop(
        crowd.traffic,
        crowd.clients,
        order.inFlight,
        crowd.toPartner(TEXT_LENGTH),
        order,
        roots,
      );
    case 'open':
      return open(order);
    case 'storm':
      return storm(crowd, order.kill, order.perSecond);
    case 'end':
      crowd.end();
      // Let the server see them go before anything else is measured.
      await sleep(200);
      return null;
  }
}

async function open(order: Extract<Order, { command: 'open' }>): Promise<Measured> {
  const senders = crowd.clients.slice(0, order.users);
  const others = crowd.clients.slice(order.users);
  const { long } = order;
  const stopLong =
    long === undefined
      ? () => undefined
      : atRate(long.perSecond, (intended, count) => {
          const receiver = others[count % others.length]!.user;
          const template = crowd.template(receiver, LONG_TEXT_LENGTH);
          crowd.traffic.send(senders[count % senders.length]!, receiver, template, intended, true);
        });
  if (long?.read === false) for (const client of others) client.pause();
  const send = crowd.toPartner(TEXT_LENGTH);
  const measured = await openLoop(crowd.traffic, senders, order.perSecond, send, order, roots);
  stopLong();
  return measured;
}

process.title = 'bench: load generator';
process.on('disconnect', () => process.exit(0));
process.on('message', (order: Order) => {
  obey(order).then(
    (answer) => process.send?.({ answer } satisfies Reply),
    (error: Error) => process.send?.({ error: error.message } satisfies Reply),
  );
});
