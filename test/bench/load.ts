import { setTimeout as sleep } from 'node:timers/promises';
import { type Connected, Crowd } from './crowd.ts';
import type { Login, Protocol } from './dialect.ts';
import { atRate, closedLoop, type Measured, openLoop, type Plan } from './loops.ts';
import { type Storm, storm } from './storm.ts';

/*
 * The load generator: a process of its own, told what to do over IPC (generator.ts is the other end).
 */

const TEXT_LENGTH = 40;
/** Texts for slow readers are long, so that what they leave unread grows past every kernel buffer soon. */
const SLOW_TEXT_LENGTH = 7_000;

export type Commands = {
  aim: { ask: { port: number; protocol: Protocol; roots: readonly number[] }; answer: null };
  connect: { ask: { logins: readonly Login[] }; answer: Connected };
  closed: { ask: Plan & { inFlight: number }; answer: Measured };
  /** The first `users` send; the others are silent, or, if `slowPerSecond` is given, are written to and do not read. */
  open: { ask: Plan & { users: number; perSecond: number; slowPerSecond?: number }; answer: Measured };
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
  const slow = crowd.clients.slice(order.users);
  const stopSlow =
    order.slowPerSecond === undefined
      ? () => undefined
      : atRate(order.slowPerSecond, (intended, count) => {
          const receiver = slow[count % slow.length]!.user;
          const template = crowd.template(receiver, SLOW_TEXT_LENGTH);
          crowd.traffic.send(senders[count % senders.length]!, receiver, template, intended, true);
        });
  if (order.slowPerSecond !== undefined) for (const client of slow) client.pause();
  const send = crowd.toPartner(TEXT_LENGTH);
  const measured = await openLoop(crowd.traffic, senders, order.perSecond, send, order, roots);
  stopSlow();
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
