import type { Flag, StoredMessage } from './checker.ts';
import type { HistoryEvent } from './history.ts';

/** What became of one message that a client wanted to send, over all its attempts. */
type Send = {
  to: string;
  text: string;
  invokedAt: number;
  ids: Set<number>;
  refusedFor: string | null;
};

const key = (user: string, clientId: string): string => `${clientId} ${user}`;

type SendTotals = {
  sends: number;
  attempts: number;
  acknowledged: number;
  repeats: number;
  refusals: number;
  unknown: number;
};

/** The senders' side: what was sent, what was said about it, and what the database holds. */
export function checkSends(
  events: readonly HistoryEvent[],
  rows: readonly StoredMessage[],
  flag: Flag,
): SendTotals {
  const totals: SendTotals = { sends: 0, attempts: 0, acknowledged: 0, repeats: 0, refusals: 0, unknown: 0 };
  const byId = new Map(rows.map((row) => [row.id, row]));
  const sends = new Map<string, Send>();

  for (const event of events) {
    if (event.kind === 'invoked') {
      totals.attempts++;
      const k = key(event.user, event.clientId);
      if (sends.has(k)) continue;
      const { to, text, at } = event;
      sends.set(k, { to, text, invokedAt: at, ids: new Set(), refusedFor: null });
    } else if (event.kind === 'acknowledged') {
      if (event.repeat) totals.repeats++;
      const send = sends.get(key(event.user, event.clientId));
      if (send === undefined) {
        const what = `${event.user} got an answer for ${event.clientId}, which it never sent`;
        flag({ class: 'phantom', at: event.at, what });
        continue;
      }
      if (send.to !== event.to || send.text !== event.text) {
        const what = `${event.user}'s ${event.clientId} was acknowledged as "${event.text}" to ${event.to}, sent as "${send.text}" to ${send.to}`;
        flag({ class: 'lost', at: event.at, what });
      }
      if (send.ids.has(event.id)) continue;
      send.ids.add(event.id);
      if (send.ids.size > 1) {
        const what = `${event.user}'s ${event.clientId} was acknowledged as ${[...send.ids].join(' and as ')}`;
        flag({ class: 'duplicate', at: event.at, what });
      }
      const row = byId.get(event.id);
      if (row === undefined) {
        const what = `${event.user}'s ${event.clientId} was acknowledged as ${event.id}, which is not stored`;
        flag({ class: 'lost', at: event.at, what });
      } else if (
        row.sender !== event.user ||
        row.receiver !== send.to ||
        row.text !== send.text ||
        row.clientId !== event.clientId
      ) {
        const what = `${event.id} is stored as ${describe(row)}, acknowledged to ${event.user} for ${event.clientId} to ${send.to}`;
        flag({ class: 'lost', at: event.at, what });
      }
    } else if (event.kind === 'failed') {
      totals.refusals++;
      if (!event.final) continue;
      const what = `${event.user}'s ${event.clientId ?? 'frame'} was refused with ${event.code}`;
      flag({ class: 'refused', at: event.at, what });
      const send = event.clientId === null ? undefined : sends.get(key(event.user, event.clientId));
      if (send !== undefined) send.refusedFor = event.code;
    } else if (event.kind === 'unknown') {
      totals.unknown++;
    } else if (event.kind === 'stuck') {
      flag({ class: 'unsettled', at: event.at, what: `${event.device}: ${event.what}` });
    }
  }

  for (const [k, send] of sends) {
    if (send.ids.size > 0) totals.acknowledged++;
    else if (send.refusedFor === null) {
      flag({ class: 'unsettled', at: send.invokedAt, what: `${k} to ${send.to} never had an outcome` });
    }
  }
  totals.sends = sends.size;
  checkRows(rows, sends, flag);
  return totals;
}

function checkRows(rows: readonly StoredMessage[], sends: ReadonlyMap<string, Send>, flag: Flag): void {
  const stored = new Map<string, number>();
  for (const row of rows) {
    const k = row.clientId === null ? undefined : key(row.sender, row.clientId);
    const send = k === undefined ? undefined : sends.get(k);
    if (k === undefined || send === undefined) {
      flag({ class: 'phantom', what: `${row.id} is stored (${describe(row)}) and was never sent` });
      continue;
    }
    const first = stored.get(k);
    if (first !== undefined)
      flag({ class: 'duplicate', what: `${k} is stored as ${first} and as ${row.id}` });
    else stored.set(k, row.id);
    if (send.to !== row.receiver || send.text !== row.text) {
      flag({
        class: 'phantom',
        what: `${row.id} is stored as ${describe(row)}, sent as "${send.text}" to ${send.to}`,
      });
    }
    if (send.refusedFor !== null) {
      flag({ class: 'phantom', what: `${row.id} is stored, and was refused with ${send.refusedFor}` });
    }
  }
}

const describe = (row: StoredMessage): string =>
  `${row.sender} → ${row.receiver} "${row.text}" ${row.clientId}`;
