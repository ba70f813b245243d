import type { Flag, StoredMessage } from './checker.ts';
import { firstIndex } from './first-index.ts';
import type { Closed, Connected, Delivered, HistoryEvent, Opened, Page } from './history.ts';

/** One socket's stream, as far as it has been read. */
type Stream = {
  opened: Opened;
  /** The socket promises everything above this; null while nobody has said where it begins. */
  start: number | null;
  /** The socket claims to have everything from `start` up to this. */
  complete: number;
  newest: number;
  ids: Set<number>;
  open: boolean;
};

type StreamTotals = { sockets: number; resumes: number; pages: number; delivered: number; peeked: number };

/** The receivers' side: what each socket was given, in which order, and what it was not given. */
export function checkStreams(
  events: readonly HistoryEvent[],
  rows: readonly StoredMessage[],
  flag: Flag,
): StreamTotals {
  const checker = new StreamChecker(rows, flag);
  for (const event of events) checker.read(event);
  checker.end();
  return checker.totals;
}

class StreamChecker {
  readonly totals: StreamTotals = { sockets: 0, resumes: 0, pages: 0, delivered: 0, peeked: 0 };
  readonly #flag: Flag;
  readonly #byId: ReadonlyMap<number, StoredMessage>;
  /** Ids of each user's messages, ascending. */
  readonly #byUser = new Map<string, number[]>();
  readonly #streams = new Map<number, Stream>();
  /** Ids each device has had on any of its sockets. */
  readonly #byDevice = new Map<string, Set<number>>();
  #quiesced = false;

  constructor(rows: readonly StoredMessage[], flag: Flag) {
    this.#flag = flag;
    this.#byId = new Map(rows.map((row) => [row.id, row]));
    for (const row of [...rows].sort((a, b) => a.id - b.id)) {
      for (const user of new Set([row.sender, row.receiver])) {
        const ids = this.#byUser.get(user);
        if (ids === undefined) this.#byUser.set(user, [row.id]);
        else ids.push(row.id);
      }
    }
  }

  read(event: HistoryEvent): void {
    if (this.#quiesced) return;
    switch (event.kind) {
      case 'opened':
        this.#opened(event);
        break;
      case 'connected':
        this.#connected(event);
        break;
      case 'delivered':
        this.#delivered(event);
        break;
      case 'page':
        this.#page(event);
        break;
      case 'closed':
        this.#closed(event);
        break;
      case 'peeked':
        this.totals.peeked++;
        if (!event.stored) {
          const what = `${event.id} was received on ${this.#name(event.socket)} and was not in the database yet`;
          this.#flag({ class: 'early', at: event.at, what });
        }
        break;
      case 'quiesced':
        this.#quiesced = true;
        break;
    }
  }

  /** A socket that is open at the end, long after the last send, must have everything. */
  end(): void {
    for (const stream of this.#streams.values()) {
      const upto = stream.open && this.#quiesced ? Number.MAX_SAFE_INTEGER : stream.complete;
      this.#checkHoles(stream, upto);
    }
  }

  #opened(event: Opened): void {
    this.totals.sockets++;
    if (event.since !== null) this.totals.resumes++;
    this.#streams.set(event.socket, {
      opened: event,
      start: event.since,
      complete: event.since ?? 0,
      newest: event.since ?? 0,
      ids: new Set(),
      open: true,
    });
    if (!this.#byDevice.has(event.device)) this.#byDevice.set(event.device, new Set());
  }

  #connected(event: Connected): void {
    const stream = this.#streams.get(event.socket)!;
    if (event.resync) {
      const what = `${this.#name(event.socket)} asked since ${stream.opened.since}, epoch ${event.epoch}, head ${event.head}`;
      this.#flag({ class: 'resync', at: event.at, what });
    }
    if (stream.start !== null && !event.resync) return;
    stream.start = event.head;
    stream.complete = event.head;
    stream.newest = event.head;
  }

  #delivered(event: Delivered): void {
    this.totals.delivered++;
    const stream = this.#streams.get(event.socket)!;
    const { user, device } = stream.opened;
    const had = this.#byDevice.get(device)!;
    const where = this.#name(event.socket);
    const { at, id } = event;

    if (event.from !== user && event.to !== user) {
      this.#flag({ class: 'misdelivered', at, what: `${id} (${event.from} → ${event.to}) went to ${where}` });
    }
    const row = this.#byId.get(id);
    if (row === undefined) {
      this.#flag({ class: 'phantom', at, what: `${id} was delivered to ${where} and is not stored` });
    } else if (
      row.sender !== event.from ||
      row.receiver !== event.to ||
      row.text !== event.text ||
      row.clientId !== event.clientId
    ) {
      const what = `${id} was delivered to ${where} as ${event.from} → ${event.to} "${event.text}" ${event.clientId}, stored as ${row.sender} → ${row.receiver} "${row.text}" ${row.clientId}`;
      this.#flag({ class: 'phantom', at, what });
    }

    if (id <= stream.newest) {
      if (stream.ids.has(id)) {
        this.#flag({ class: 'duplicate', at, what: `${id} was delivered twice to ${where}` });
      } else if (stream.start !== null && id <= stream.start && had.has(id)) {
        const what = `${id} was delivered again to ${where}, which began at ${stream.start}`;
        this.#flag({ class: 'duplicate', at, what });
      } else {
        this.#flag({
          class: 'reordered',
          at,
          what: `${id} was delivered to ${where} after ${stream.newest}`,
        });
      }
    }
    // A basic socket is not told where it begins: at its first message, at the latest.
    stream.start ??= id - 1;
    stream.newest = Math.max(stream.newest, id);
    stream.ids.add(id);
    had.add(id);
    if (event.via === 'live') stream.complete = Math.max(stream.complete, id);
  }

  #page(event: Page): void {
    this.totals.pages++;
    const stream = this.#streams.get(event.socket)!;
    stream.complete = Math.max(stream.complete, event.upto);
    stream.newest = Math.max(stream.newest, event.upto);
  }

  #closed(event: Closed): void {
    this.#streams.get(event.socket)!.open = false;
  }

  #checkHoles(stream: Stream, upto: number): void {
    const { start } = stream;
    if (start === null) return;
    const ids = this.#byUser.get(stream.opened.user) ?? [];
    for (let i = firstIndex(ids, (id) => id > start); i < ids.length && ids[i]! <= upto; i++) {
      const id = ids[i]!;
      if (stream.ids.has(id)) continue;
      const until = stream.open ? 'to the end' : `up to ${stream.complete}`;
      const what = `${id} was never delivered to ${this.#name(stream.opened.socket)}, complete from ${start} ${until}`;
      this.#flag({ class: 'hole', at: stream.opened.at, what });
    }
  }

  #name(socket: number): string {
    const { device, node, worker, protocol } = this.#streams.get(socket)!.opened;
    return `${device} (${protocol} socket ${socket}, node ${node}${worker === '' ? '' : `, worker ${worker}`})`;
  }
}
