import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { LIMITS } from '../../contract/limits.ts';
import type { Backlogged } from './backlogs.ts';
import type { SessionContext } from './session-context.ts';
import { textFrames } from './text-frames.ts';

/** Limit on what is written to one socket within one turn of the event loop. */
const UNSENT_IN_TURN_BYTES = 16 * LIMITS.unsentBytes;

/** Writes to one client, within the bound on what it has not taken yet (rule L6). */
export class SocketWriter implements Backlogged {
  readonly #ws: WebSocket;
  /** What `ws` writes to. */
  readonly #socket: Duplex;
  readonly #context: Pick<SessionContext, 'writes' | 'backlogs'>;
  readonly #reader: { tooSlow(): void };
  /** Bytes of a page under way that exceeds the limit on unsent bytes; 0 if there is none. It must not close its own socket. */
  #longPage = 0;

  /** @param reader is told when it reads too slowly, and is to close the socket */
  constructor(
    ws: WebSocket,
    socket: Duplex,
    context: Pick<SessionContext, 'writes' | 'backlogs'>,
    reader: { tooSlow(): void },
  ) {
    this.#ws = ws;
    this.#socket = socket;
    this.#context = context;
    this.#reader = reader;
  }

  /** Whether frames still go to the client. Once it has begun to close, nothing may follow our answer to that. */
  get open(): boolean {
    return this.#ws.readyState === this.#ws.OPEN;
  }

  get unsent(): number {
    return this.#ws.bufferedAmount;
  }

  /** @param texts of frames, which leave at the end of this turn */
  write(texts: readonly string[]): void {
    if (!this.open) return;
    // What is corked until the end of this turn could not leave yet, so only the larger bound of a turn applies to it.
    const inTurn = this.#socket.writableCorked > 0;
    const bound = inTurn ? UNSENT_IN_TURN_BYTES : LIMITS.unsentBytes + this.#longPage;
    const frames = textFrames(texts);
    const { unsent } = this;
    if (unsent > bound || unsent + frames.length > UNSENT_IN_TURN_BYTES) return this.tooSlow();
    if (unsent > 0 && !inTurn) this.#context.backlogs.note(this, unsent + frames.length);
    // It may have been closed just now, to make room for the others.
    if (!this.open) return;
    this.#context.writes.hold(this.#socket);
    this.#socket.write(frames);
  }

  /**
   * Resolves when the page has been sent, or the socket is gone.
   * @param bytes of its messages
   */
  async writePage(text: string, bytes: number): Promise<void> {
    if (bytes > LIMITS.unsentBytes) this.#longPage = bytes;
    const sent = new Promise<void>((resolve) => this.#ws.send(text, () => resolve()));
    this.noteBacklog();
    await sent;
    this.#longPage = 0;
  }

  noteBacklog(): void {
    this.#context.backlogs.note(this, this.unsent);
  }

  tooSlow(): void {
    this.#reader.tooSlow();
  }

  /** To be called when the socket is closed: its backlog counts no more. */
  ended(): void {
    this.#context.backlogs.forget(this);
  }
}
